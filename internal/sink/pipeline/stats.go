package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// Stats describes a pipeline at one moment.
type Stats struct {
	// Dirty is the number of objects that the receiver may not have in their current state, without parked and
	// quarantined ones.
	Dirty int
	// Deletes is the number of dirty objects that are deletions.
	Deletes int
	// OldestDirty is how long the oldest dirty object has been dirty: the true lag.
	OldestDirty time.Duration
	// InFlight is the number of requests under way.
	InFlight int
	// Waiting, Evicted, Suspected, Parked and Quarantined count objects by their place.
	Waiting, Evicted, Suspected, Parked, Quarantined int
	// Unsettled is the number of objects with a last word to be repeated.
	Unsettled int
	// BodyBytes is the memory that bodies take.
	BodyBytes int64
	// Totals count since the start.
	Totals Totals
	// First is the progress of the first sync.
	First Progress
	// Breaker is the health of the receiver.
	Breaker delivery.State
}

// Stats returns the statistics of the pipeline. It looks at no item.
func (p *Pipeline) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Dirty: p.tally.dirty(), Deletes: p.queues.of(classDeletes).len, InFlight: len(p.flights.all),
		Waiting: p.tally.places[waiting], Evicted: p.tally.places[evicted], Suspected: p.tally.places[suspected],
		Parked: p.tally.places[parked], Quarantined: p.tally.places[quarantined],
		BodyBytes: p.tally.bodyBytes, Totals: p.record.totals, First: p.tally.first, Breaker: p.breaker.State(),
		Unsettled: p.tally.unsettled, OldestDirty: p.ages.oldest(time.Now()),
	}
}

// Left counts the objects that a pipeline did not deliver before it had to stop.
type Left struct {
	// Upserts and Deletes are objects that the receiver may not have in their current state.
	Upserts, Deletes int
	// Unsettled are objects whose last word was still to be repeated.
	Unsettled int
}

// Flush sends all items that are or would become due, without waiting for any window, until none is left that can
// be sent, or ctx ends. It returns the numbers of the rest. Objects without their bodies are always left, because
// the filler has stopped. [Pipeline.Run] must be running; stop feeding the pipeline first.
func (p *Pipeline) Flush(ctx context.Context) Left {
	p.mu.Lock()
	p.life = max(p.life, draining)
	p.mu.Unlock()
	p.wake.Wake()
	_ = p.await(ctx, func() bool { return p.tally.dirty() == p.tally.places[evicted] })
	p.mu.Lock()
	defer p.mu.Unlock()
	var l Left
	for _, it := range p.items.byID {
		switch {
		case it.place == parked || it.place == quarantined:
		case it.dirty() && it.Deleted:
			l.Deletes++
		case it.dirty():
			l.Upserts++
		case it.overwritable():
			l.Unsettled++
		}
	}
	for _, b := range p.items.allStubs() {
		l.Upserts += one(!b.parked)
	}
	return l
}

// signal tells waiting callers that a condition may have changed.
type signal struct{ given chan struct{} } // nil while no caller waits

func (s *signal) give() {
	if s.given != nil {
		close(s.given)
		s.given = nil
	}
}

// next returns a channel that is closed when the signal is given next.
func (s *signal) next() <-chan struct{} {
	if s.given == nil {
		s.given = make(chan struct{})
	}
	return s.given
}

// await blocks until ok returns true, the pipeline ends, or ctx ends. It calls ok under the lock, whenever the
// backlog may have shrunk.
func (p *Pipeline) await(ctx context.Context, ok func() bool) error {
	for {
		p.mu.Lock()
		done, changed := p.life == ended || ok(), p.backlog.next()
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the receiver: %w", ctx.Err())
		}
	}
}

// AwaitDeleted blocks until the receiver has acknowledged the deletions of some objects, or ctx ends. It does not
// wait for deletions that are not to be sent, or that the receiver has refused.
func (p *Pipeline) AwaitDeleted(ctx context.Context, ids []resource.ID) error {
	left := slices.Clone(ids)
	return p.await(ctx, func() bool {
		left = slices.DeleteFunc(left, func(id resource.ID) bool {
			it := p.items.byID[id]
			return it == nil || !it.Deleted || !it.dirty() || it.place == quarantined || !p.mine(it)
		})
		return len(left) == 0
	})
}

// Pending returns the number of objects of a type that its first list has brought and that are still to be
// delivered.
func (p *Pipeline) Pending(t resource.Type) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally.initial[p.items.types[t]]
}
