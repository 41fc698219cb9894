package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// Stats is what a pipeline knows of itself at one moment.
type Stats struct {
	// Dirty is how many objects the receiver may not have in their current state, without parked and quarantined
	// ones.
	Dirty int
	// Deletes is how many of them are deletions that wait.
	Deletes int
	// OldestDirty is how long the oldest of them has been so: the true lag.
	OldestDirty time.Duration
	// InFlight is the number of requests under way.
	InFlight int
	// Waiting, Evicted, Suspected, Parked and Quarantined count objects by where they are.
	Waiting, Evicted, Suspected, Parked, Quarantined int
	// Unsettled is how many objects have a last word to be repeated.
	Unsettled int
	// BodyBytes is the memory that bodies take.
	BodyBytes int64
	// Totals count since the start.
	Totals Totals
	// First is how far the first sync has come.
	First Progress
	// Breaker is the health of the receiver.
	Breaker delivery.State
}

// Stats returns what the pipeline knows of itself. It looks at no item.
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

// Left is what a pipeline did not deliver before it had to stop.
type Left struct {
	// Upserts and Deletes are objects that the receiver may not have in their current state.
	Upserts, Deletes int
	// Unsettled are objects whose last word was still to be repeated.
	Unsettled int
}

// Flush sends what is due and what would become due, without waiting for any window, until nothing is left that can be
// sent, or ctx ends. It returns what was left; objects without their bodies are always left, for the filler
// has stopped. [Pipeline.Run] must be running; stop feeding the pipeline first.
func (p *Pipeline) Flush(ctx context.Context) Left {
	p.mu.Lock()
	p.life = max(p.life, draining)
	p.mu.Unlock()
	p.wakeLoop()
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

// signal tells those who wait that something has changed.
type signal struct{ given chan struct{} } // nil while nobody waits

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

// await blocks until ok returns true, which is asked under the lock whenever less may be left to do, until
// the pipeline ends, or ctx.
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

// AwaitDeleted blocks until the receiver has acknowledged the deletions of some objects, as far as it is to
// be told of them and has not refused them, or ctx ends.
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

// Pending returns how many objects of a type that its first list has brought are still to be delivered.
func (p *Pipeline) Pending(t resource.Type) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally.initial[p.items.types[t]]
}
