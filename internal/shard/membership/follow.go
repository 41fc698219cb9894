package membership

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// follow publishes what the machine now allows, counts, and logs the edges. It is called under mu after every change
// of the machine.
func (m *Membership) follow(now time.Duration) {
	before := m.grant.Load()
	owned := m.machine.Owned()
	admitted := m.admitted(owned) // before since is read: it sets that
	after := &grant{owned: admitted, claimed: m.machine.Claimed(), fencedAt: m.machine.FencedAt(), since: m.since}
	if before.fencedAt != after.fencedAt || !before.owned.Equal(after.owned) || !before.claimed.Equal(after.claimed) {
		m.grant.Store(after)
		m.followTaken(admitted)
	}
	fenced := now >= after.fencedAt
	if f := m.fence.Load(); fenced && f.ctx.Err() == nil {
		f.cancel(ErrFenced)
		m.metrics.fences.Inc()
		m.log.Info("Fenced: nothing is sent until our Lease is renewed")
		wake(m.changes)
	} else if !fenced && f.ctx.Err() != nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		m.fence.Store(&fence{ctx: ctx, cancel: cancel})
		wake(m.changes)
	}
	if !before.owned.Equal(after.owned) {
		m.count(before.owned, after.owned)
		wake(m.changes)
	}
	close(m.moved)
	m.moved = make(chan struct{})
	if len(m.waiting) > 0 {
		wake(m.changes) // the admitter may have been looking at an earlier gain
	}
	m.time(now)
	m.known.follow(m.log, m.machine, now)
	if m.machine.Left() {
		select {
		case <-m.left:
		default:
			close(m.left)
		}
	}
}

func (m *Membership) count(before, after ownership.Area) {
	m.metrics.gained.Add(float64(after.Minus(before).Rest().Len()))
	m.metrics.lost.Add(float64(before.Minus(after).Rest().Len()))
}

// time measures how long changes of the ring take us, from when we see that one is called for until we may send for
// all that it gives us.
func (m *Membership) time(now time.Duration) {
	switch moving := m.machine.Moving(); {
	case moving && m.moving < 0:
		m.moving = now
	case !moving && m.moving >= 0:
		m.metrics.handoff.Observe((now - m.moving).Seconds())
		m.moving = -1
	}
}

// edges is what was last logged, so that changes are logged and states are not.
type edges struct {
	everJoined, joined bool
	waiting            bool
	view, strangers    []string
	failing, forbidden bool
}

func (e *edges) follow(log logr.Logger, machine *ownership.Machine, now time.Duration) {
	if joined := machine.Joined(); joined != e.joined {
		e.joined, e.everJoined = joined, e.everJoined || joined
		if joined {
			log.Info("Joined the ring")
		} else {
			log.Info("Our Lease is not ours any more")
		}
	}
	if blocked := machine.WaitsForName(); blocked != e.waiting {
		e.waiting = blocked
		if blocked {
			log.Info("Another pod holds the Lease under our name, waiting until it is released or found dead")
		}
	}
	if view := machine.View(); !slices.Equal(view, e.view) {
		log.Info("Published a view of the ring", "members", view, "before", e.view)
		e.view = view
	}
	if strangers := machine.Strangers(); !slices.Equal(strangers, e.strangers) {
		e.strangers = strangers
		if len(strangers) > 0 {
			log.Info("Members of this ring send something else, or elsewhere, or run another version: they and we never work at the same time",
				"members", strangers)
		}
	}
	if e.failing && !machine.Fenced(now) && !machine.Retrying() {
		e.failing, e.forbidden = false, false
		log.Info("Lease is renewed again")
	}
}

// failed logs the first of a series of failures.
func (e *edges) failed(log logr.Logger, err error) {
	if !e.failing {
		e.failing = true
		log.Info("Could not write our Lease, trying on", "error", err.Error())
	}
}

func (e *edges) denied(log logr.Logger, verb string, err error) {
	if !e.forbidden {
		e.forbidden = true
		log.Error(err, "Permission on Leases was taken away, trying on", "verb", verb)
	}
}
