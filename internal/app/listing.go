package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

const (
	// askWait is how long after the search for missed deletions the receiver is first asked: by then the
	// members know of which types each other cannot tell.
	askWait = 3 * time.Second
	// askAgain is how long after a pass that found something in a list that is not whole the next follows: as documents
	// go, others come into sight.
	askAgain = 5 * time.Second
	// askRarely is how often the receiver is asked about types that are held back, or of which it lists a part.
	askRarely = 5 * time.Minute
	// longestPause bounds the pause after each request of a list, which is as long as the request was.
	longestPause = 5 * time.Second
)

// newOrphanFinder makes what asks the target's receiver.
func newOrphanFinder(t *target, p parts, metrics *repair.Metrics) (*orphanFinder, error) {
	c := &orphanFinder{
		index: t.index, namespaces: watch.NamespaceFilter{Include: p.cfg.WatchNamespaces, Exclude: p.cfg.ExcludeNamespaces},
		wants: t.wants, hides: func(typ resource.Type, namespace, name string) bool { return t.projection.Hides(typ, namespace, name) }, watching: p.watching, pending: t.pipeline.PendingDeletions, sweep: t.deleter.Sweep,
		metrics: metrics, log: t.log, asking: make(chan struct{}, 1),
		held: make(map[resource.Type]repair.Held), judged: make(map[resource.Type]bool),
	}
	client, err := orphans.New(t.format.Name(), t.spec.endpoint, orphans.Options{
		Token: t.spec.token, CA: t.spec.ca, Files: t.spec.files, Version: p.version, Pace: (&pacer{waitIdle: t.waitIdle}).pace,
	})
	switch {
	case errors.Is(err, orphans.ErrNoList):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("making what asks the receiver for its documents: %w", err)
	}
	c.receiver, c.close = client, client.Close
	return c, nil
}

// pacer keeps the requests of lists behind the deliveries. It is used by one goroutine at a time.
type pacer struct {
	waitIdle func(ctx context.Context) error // waits until the receiver has time
	next     time.Time
}

// pace is for [orphans.Options.Pace].
func (p *pacer) pace(ctx context.Context) (done func(), err error) {
	if err := p.waitIdle(ctx); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Until(p.next)):
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to ask the receiver: %w", ctx.Err())
	}
	began := time.Now()
	return func() {
		now := time.Now()
		p.next = now.Add(min(now.Sub(began), longestPause))
	}, nil
}

// waitIdle waits until the receiver answers, and has caught up with what is sent to it again.
func (t *target) waitIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for t.pipeline.Stats().Breaker.Open {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the receiver: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return t.pipeline.Room(ctx) // It says what it was doing.
}

// runListing asks the receiver about types of which nothing else can tell what was deleted while nobody
// watched, and again about what is held back, until ctx ends.
func (t *target) runListing(ctx context.Context) error {
	if !t.orphanFinder.able() {
		return nil
	}
	defer t.orphanFinder.close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := make(map[resource.Type]time.Time)
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch {
		case !t.looked.Load():
			continue
		case since.IsZero():
			since = time.Now()
		}
		if time.Since(since) < askWait {
			continue
		}
		for _, typ := range t.typesToList() {
			if now := time.Now(); ctx.Err() == nil && !now.Before(next[typ]) {
				next[typ] = now.Add(t.ask(ctx, typ))
			}
		}
	}
}

// typesToList returns the types that we have to ask the receiver about. Of members that know equally little, the
// first by name asks, and the others take its word.
func (t *target) typesToList() []resource.Type {
	unresolved, told := t.finder.Unresolved(), t.peerStats()
	var ask []resource.Type
	for _, typ := range unresolved {
		if typ.Kind == "" { // It is served no longer, and by its name alone nothing can be asked.
			continue
		}
		name, first := typ.String(), true
		for member, f := range told {
			if slices.Contains(f.Judged, name) {
				t.finder.Resolve(typ)
				first = false
				break
			}
			first = first && (member > t.member.Name() || !slices.Contains(f.Unknown, name))
		}
		if first {
			ask = append(ask, typ)
		}
	}
	for typ := range t.orphanFinder.waits() {
		if !slices.Contains(ask, typ) {
			ask = append(ask, typ)
		}
	}
	return ask
}

// ask asks about a type, and returns when to ask again if that is still to be done then.
func (t *target) ask(ctx context.Context, typ resource.Type) time.Duration {
	a, err := t.orphanFinder.repair(ctx, typ, repair.Scope{}, false)
	switch {
	case err != nil:
		return time.Second // It rests by itself.
	case a.Held > 0 || !a.blind:
		t.orphanFinder.tell(typ)
		t.finder.Resolve(typ)
		return askRarely
	case a.Deleted > 0:
		return askAgain
	default:
		return askRarely
	}
}
