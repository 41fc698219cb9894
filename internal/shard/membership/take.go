package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// ErrLost says that parts are not ours any more: we have lost our Lease, or another member has taken some of
// them, too.
var ErrLost = errors.New("the part that was taken for a resync is not this replica's any more")

// Taken are parts of which we are the only sender, in all partitions. Create it with [Membership.Take].
type Taken struct {
	m     *Membership
	parts []ownership.Part
	lost  chan struct{}
}

// Take makes us the only sender of parts: the others let their requests for them end, and yield. It returns once
// that is so and the gain is admitted. It also returns when ctx ends, and with [ErrLost] when our stay in the
// ring ends before. Take waits for parts of which another member has taken something. The caller must call Give.
func (m *Membership) Take(ctx context.Context, parts []ownership.Part) (*Taken, error) {
	t := &Taken{m: m, parts: parts, lost: make(chan struct{})}
	joined := false
	m.do(func(now time.Duration) {
		if joined = m.machine.Joined(); joined {
			m.machine.Take(parts, now)
		}
	})
	if !joined {
		return nil, ErrLost
	}
	wanted := false
	err := m.Await(ctx, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		wanted = m.machine.Wants(parts)
		ours := wanted && m.machine.Took(parts) && m.machine.Covers(m.rights.grant.Load().owned, parts)
		if ours {
			m.taken = append(m.taken, t)
		}
		return ours || !wanted
	})
	switch {
	case err != nil:
		t.Give()
		return nil, fmt.Errorf("waiting for the other replicas to yield: %w", err)
	case !wanted:
		return nil, ErrLost
	}
	return t, nil
}

// Await blocks until ok returns true, or ctx ends. It calls ok at first, and after each change that this package
// reports.
func (m *Membership) Await(ctx context.Context, ok func() bool) error {
	for {
		m.mu.Lock()
		moved := m.moved
		m.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lost is closed once any of the parts is not ours any more. A fence alone does not close it, because no member
// sends for the parts meanwhile.
func (t *Taken) Lost() <-chan struct{} { return t.lost }

// Give gives the parts back, as soon as requests for them have ended.
func (t *Taken) Give() {
	t.m.do(func(now time.Duration) {
		t.m.taken = slices.DeleteFunc(t.m.taken, func(o *Taken) bool { return o == t })
		t.m.machine.Give(t.parts, now)
	})
}

// followTaken ends the holds on lost parts. The caller holds mu.
func (m *Membership) followTaken(granted ownership.Area) {
	m.taken = slices.DeleteFunc(m.taken, func(t *Taken) bool {
		lost := !m.machine.Covers(granted, t.parts)
		if lost {
			close(t.lost)
		}
		return lost
	})
}
