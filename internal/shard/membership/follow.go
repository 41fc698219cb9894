package membership

import (
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// follow publishes the area that the machine grants, counts, and logs the edges. It is called under mu after
// every change of the machine.
func (m *Membership) follow(now time.Duration) {
	before := m.rights.grant.Load()
	admitted := m.machine.Owned()
	if m.opts.Admission {
		admitted = m.admission.of(admitted, m.machine.Seen(), m.opts.Format.Partitions)
	}
	after := &grant{owned: admitted, claimed: m.machine.Claimed(), fencedAt: m.machine.FencedAt(), since: m.admission.since}
	if before.fencedAt != after.fencedAt || !before.owned.Equal(after.owned) || !before.claimed.Equal(after.claimed) {
		m.rights.grant.Store(after)
		m.followTaken(admitted)
	}
	if fenced := now >= after.fencedAt; m.rights.follow(fenced) {
		if fenced {
			m.metrics.fences.Inc()
			m.log.Info("Fenced: nothing is sent until our Lease is renewed")
		}
		m.changes.Wake()
	}
	if !before.owned.Equal(after.owned) {
		m.metrics.gained.Add(float64(after.owned.Minus(before.owned).Rest().Len()))
		m.metrics.lost.Add(float64(before.owned.Minus(after.owned).Rest().Len()))
		m.changes.Wake()
	}
	close(m.moved)
	m.moved = make(chan struct{})
	if !slices.Equal(m.machine.View(), m.known.view) {
		m.changes.Wake() // We publish a view after what it takes from us is lost: that was told before.
	}
	if len(m.admission.waiting) > 0 {
		m.changes.Wake() // The admitter may have been looking at an earlier gain.
	}
	m.known.time(m.metrics.handoff, m.machine.Moving(), now)
	m.known.follow(m.log, m.machine, now)
	if m.machine.Left() {
		select {
		case <-m.left:
		default:
			close(m.left)
		}
	}
}

// edges is the state that was last logged or measured, so that changes are logged and states are not.
type edges struct {
	moving             time.Duration // when the handoff under way began, -1 when there is none
	watched            bool          // the API server has granted a watch once
	everJoined, joined bool
	waiting            bool
	view, strangers    []string
	failing, forbidden bool
}

// time measures how long changes of the ring take us: from the moment a change is called for until we may send
// for our whole share.
func (e *edges) time(handoff prometheus.Observer, moving bool, now time.Duration) {
	switch {
	case moving && e.moving < 0:
		e.moving = now
	case !moving && e.moving >= 0:
		handoff.Observe((now - e.moving).Seconds())
		e.moving = -1
	}
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
