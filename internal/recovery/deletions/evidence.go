package deletions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// answer is what one source of evidence says of a type.
type answer uint8

const (
	cannotTell answer = iota // The next source is asked.
	tellsLater               // No source is asked for now.
	told                     // Objects that it knows to be gone are deleted, and the search is done or held.
)

// inquiry is a question about one type.
type inquiry struct {
	t           resource.Type
	search      *search
	accompanied bool // an incumbent is there
	now         time.Time

	versions []uint64 // of the search, when the question was asked
}

// advance asks about one type along the chain of evidence.
func (f *Finder) advance(ctx context.Context, q inquiry) {
	for _, ask := range [...]func(context.Context, *inquiry) answer{f.peers, f.rested, f.history, f.exactLists, f.inventory} {
		if ask(ctx, &q) != cannotTell {
			return
		}
	}
}

// conclude sets the result of a search.
func (f *Finder) conclude(s *search, state State) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.state = state
	return told
}

// peers asks the members whose processes were running before ours: they may know that there is nothing to search.
// A member that began when we did counts only where we remember nothing ourselves: it may have found that no
// source can tell.
func (f *Finder) peers(_ context.Context, q *inquiry) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, name := q.search, q.t.String()
	delivered := false
	switch {
	case f.past.OpaqueOf(name) && len(s.versions) == 0:
		delivered = q.accompanied
	case !f.opts.Previous.Knows(q.t) || len(f.past.incumbents) > 0:
		delivered = f.opts.Ledger.Bound(name) >= s.listed
	}
	switch {
	case s.state != Pending: // The type was removed meanwhile.
		return told
	case delivered:
		s.state = Answered
		return told
	case q.accompanied && !f.restored && q.now.Sub(s.begun) < patience:
		return tellsLater
	}
	return cannotTell
}

// rested pauses a search that has failed.
func (f *Finder) rested(_ context.Context, q *inquiry) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.now.Before(q.search.retry) {
		return tellsLater
	}
	if !q.search.expired {
		q.versions = q.search.versions
	}
	return cannotTell
}

// history asks the API server for the deletions of a type since everything was acknowledged.
func (f *Finder) history(ctx context.Context, q *inquiry) answer {
	if len(q.versions) == 0 {
		return cannotTell
	}
	// The range ends at our last list, which is later than the first one if the watch has begun anew.
	n, until := 0, max(q.search.listed, f.opts.Index.Type(q.t).Since)
	err := f.opts.Pager.Deletions(ctx, q.t, q.versions[0], until, func(d watch.Deletion) {
		gone := d.Now == nil || !f.opts.Receiver.Sees(*d.Now)
		if gone && f.opts.Receiver.Wants(q.t, d.Namespace, d.Name) && f.opts.Receiver.Delete(q.t, d.Namespace, d.Name, max(d.Version, 1)-1, d.Version) {
			n++
		}
	})
	f.count(repair.History, n)
	if err != nil {
		f.opts.Log.V(1).Info("The API server's history lacks deletions; comparing with earlier lists", "resource", q.t.String(), "reason", err.Error())
		return cannotTell
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q.search.state = Replayed
	for _, version := range q.versions {
		if version <= until {
			q.search.note(version)
		}
	}
	return told
}

// exactLists searches what the API server held at a type's versions. It can tell if the API server remembers them
// all. Of the versions whose history is gone, the latest decides: it covers the earlier ones, except for what
// members have acknowledged beyond it.
func (f *Finder) exactLists(ctx context.Context, q *inquiry) answer {
	if len(q.versions) == 0 {
		return cannotTell
	}
	f.slots <- struct{}{}
	defer func() { <-f.slots }()
	// Report an object with the latest version at which it existed, which is nearest to its deletion.
	deleted := make(map[guard.Object]bool)
	for _, version := range slices.Backward(q.versions) {
		err := f.exactList(ctx, q.t, version, deleted)
		switch {
		case errors.Is(err, watch.ErrExpired):
			return cannotTell
		case err != nil:
			if ctx.Err() == nil {
				f.opts.Log.Error(err, "The search for deletions that no member saw has failed; trying again", "resource", q.t.String())
			}
			f.mu.Lock()
			q.search.retry = q.now.Add(searchPause)
			f.mu.Unlock()
			return tellsLater
		}
	}
	return f.conclude(q.search, Compared)
}

// exactList deletes the documents of objects that the API server held at one version and does not hold now.
func (f *Finder) exactList(ctx context.Context, t resource.Type, version uint64, deleted map[guard.Object]bool) error {
	now := f.opts.Index.Type(t)
	if !now.Listed || version == 0 || version >= now.Version {
		return nil
	}
	n := 0
	_, err := f.opts.Pager.Pages(ctx, t, watch.ListOptions{Exact: version}, func(rs []resource.Record) error {
		for _, r := range rs {
			o := guard.Object{Namespace: r.Namespace, Name: r.Name}
			if !deleted[o] && f.opts.Receiver.Wants(t, r.Namespace, r.Name) && f.opts.Receiver.Sees(r) &&
				f.opts.Receiver.Delete(t, r.Namespace, r.Name, version, max(now.Since, version+1)) {
				deleted[o] = true
				n++
			}
		}
		return nil
	})
	f.count(repair.Exact, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.searches[t]; s != nil && (err == nil || errors.Is(err, watch.ErrExpired)) {
		s.note(version)
	}
	if err != nil {
		return fmt.Errorf("listing %s at version %d: %w", t, version, err)
	}
	return nil
}

// inventory asks what the previous process knew, the last source of the chain.
func (f *Finder) inventory(_ context.Context, q *inquiry) answer {
	v, err := f.opts.Previous.Judge(q.t, f.opts.Receiver.Wants, false, false)
	if errors.Is(err, inventory.ErrBackwards) { // It becomes clear within a minute whether it is of a lost time.
		f.mu.Lock()
		defer f.mu.Unlock()
		q.search.expired, q.search.retry = true, q.now.Add(searchPause)
		return tellsLater
	}
	f.apply(q.t, q.search, v, err)
	return told
}

// apply deletes what a verdict of the inventory names, and holds the rest for a person.
func (f *Finder) apply(t resource.Type, s *search, v inventory.Verdict, err error) {
	if err != nil {
		f.opts.Previous.Discard(err)
		v = inventory.Verdict{}
	}
	n, at := 0, max(f.opts.Index.Type(t).Since, v.Info.Version+1)
	for _, o := range v.Deleted {
		if f.opts.Receiver.Delete(t, o.Namespace, o.Name, v.Info.Version, at) {
			n++
		}
	}
	f.count(repair.Inventory, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.Status == guard.Guarded:
		s.expired, s.state = true, Held
		f.findings.hold(t, repair.Held{Resource: t.String(), Source: repair.Inventory, Documents: v.Missing, Limit: v.Limit})
		f.opts.Log.Info("More objects are missing than the guard lets a repair delete; their documents stay until a resync with force",
			"resource", t.String(), "missing", v.Missing, "limit", v.Limit, "known", v.Known)
	case v.Status == guard.Unknown && (len(s.versions) > 0 || f.past.OpaqueOf(t.String())):
		s.state = Unknown
		f.findings.cannotTell(t)
	default:
		s.state = Compared
	}
}
