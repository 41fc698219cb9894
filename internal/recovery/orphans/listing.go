package orphans

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// askWait is how long after the search for missed deletions the finder first asks the receiver: by then the
	// members know for which types the others cannot tell.
	askWait = 3 * time.Second
	// askAgain is the wait after a pass that found something in an incomplete list: as documents are deleted,
	// others come into view.
	askAgain = 5 * time.Second
	// askRarely is how often the finder asks about types with a held repair, or of which the receiver lists a
	// part.
	askRarely = 5 * time.Minute
	// longestPause bounds the pause after each request of a list, which lasts as long as the request.
	longestPause = 5 * time.Second
)

// Search knows the types of which nothing else can tell what was deleted; [deletions.Finder] does.
type Search interface {
	Unresolved() []resource.Type
	Resolve(t resource.Type)
}

// Word is what a member says of such types, by name: those of which no source has told it yet, and those of which
// the receiver has told it.
type Word struct{ Unknown, Judged []string }

// Asking is what a [Finder] needs when it asks by itself.
type Asking struct {
	Search Search
	// Self is our name, Peers what the other members say.
	Self  string
	Peers func() map[string]Word
	// Looked tells whether the search has searched everything once.
	Looked func() bool
}

// Run asks the receiver about types of which no other source can tell what was deleted while no member watched,
// and again about held repairs, until ctx ends.
func (f *Finder) Run(ctx context.Context, a Asking) error {
	if !f.Able() {
		return nil
	}
	defer f.opts.Close()
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
		case !a.Looked():
			continue
		case since.IsZero():
			since = time.Now()
		}
		if time.Since(since) < askWait {
			continue
		}
		for _, t := range f.typesToList(a) {
			if now := time.Now(); ctx.Err() == nil && !now.Before(next[t]) {
				next[t] = now.Add(f.ask(ctx, t, a.Search))
			}
		}
	}
}

// typesToList returns the types that we have to ask the receiver about: those for which this member is the one to
// ask, and those with a held repair.
func (f *Finder) typesToList(a Asking) []resource.Type {
	ask, told := divide(a.Search.Unresolved(), a.Self, a.Peers())
	for _, t := range told {
		a.Search.Resolve(t)
	}
	for t := range f.Held() {
		if !slices.Contains(ask, t) {
			ask = append(ask, t)
		}
	}
	return ask
}

// divide returns the types that we have to ask about, and those of which another member has been told. Of members
// that know equally little, the one whose name comes first asks, and the others accept its result.
func divide(unresolved []resource.Type, self string, peers map[string]Word) (ask, told []resource.Type) {
	for _, t := range unresolved {
		if t.Kind == "" { // It is served no longer, and its name alone is not enough to ask.
			continue
		}
		name, first, judged := t.String(), true, false
		for member, w := range peers {
			judged = judged || slices.Contains(w.Judged, name)
			first = first && (member > self || !slices.Contains(w.Unknown, name))
		}
		switch {
		case judged:
			told = append(told, t)
		case first:
			ask = append(ask, t)
		}
	}
	return ask, told
}

// ask asks about a type, and returns when to ask again if that is still necessary then.
func (f *Finder) ask(ctx context.Context, t resource.Type, s Search) time.Duration {
	r, err := f.Repair(ctx, t, repair.Scope{}, false)
	switch {
	case err != nil:
		return time.Second // It rests by itself.
	case r.Held > 0 || !r.Blind:
		f.told(t)
		s.Resolve(t)
		return askRarely
	case r.Deleted > 0:
		return askAgain
	default:
		return askRarely
	}
}

// Pace keeps the requests of lists behind the deliveries, for [Options.Pace]: idle waits until the receiver has
// time. Only one goroutine at a time may use the returned function.
func Pace(idle func(ctx context.Context) error) func(ctx context.Context) (done func(), err error) {
	var next time.Time
	return func(ctx context.Context) (done func(), err error) {
		if err := idle(ctx); err != nil {
			return nil, err
		}
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting to ask the receiver: %w", ctx.Err())
		}
		began := time.Now()
		return func() {
			now := time.Now()
			next = now.Add(min(now.Sub(began), longestPause))
		}, nil
	}
}
