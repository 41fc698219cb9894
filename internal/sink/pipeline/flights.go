package pipeline

import (
	"context"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// flight is one request under way.
type flight struct {
	items   []*item
	carried []cargo // of each item
	deletes bool
	retried bool // its items failed before
	whole   bool // it failed once, and is tried again unchanged
	attempt delivery.Attempt
	cancel  context.CancelFunc
}

// cargo is the mark of the state that a flight carries of an item, and the item's base when it began.
type cargo struct{ mark, base uint64 }

func (f *flight) lane() delivery.Lane { return laneOf(f.deletes) }

func (f *flight) holds(match Match) bool {
	return slices.ContainsFunc(f.items, func(it *item) bool { return match(*it.typ, it.id) })
}

// flights are the requests under way, and the waits for the end of some. It is guarded by Pipeline.mu.
type flights struct {
	all    map[*flight]bool
	drains []drain
}

// drain is a caller's wait for the end of certain requests.
type drain struct {
	match Match
	done  chan struct{}
}

// ended closes the drains that no request holds up.
func (s *flights) ended() {
	s.drains = slices.DeleteFunc(s.drains, func(d drain) bool {
		for f := range s.all {
			if f.holds(d.match) {
				return false
			}
		}
		close(d.done)
		return true
	})
}

// Drain returns a channel that is closed once no request in flight holds an object that matches. The caller has
// already made sure that MaySend is false for all matching objects, so that no new request begins.
func (p *Pipeline) Drain(match Match) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := make(chan struct{})
	p.flights.drains = append(p.flights.drains, drain{match, done})
	p.flights.ended()
	return done
}

// Cancel ends the requests in flight that hold an object that matches; their outcome is unknown then. A caller
// that has waited too long for the end of requests calls it.
func (p *Pipeline) Cancel(match Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.flights.all {
		if f.holds(match) {
			f.cancel()
		}
	}
}
