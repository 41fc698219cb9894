package deletions

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// presence is the set of members and processes at one moment.
type presence struct {
	self, process string
	others        map[string]string // processes by member
}

func (f *Finder) present() presence {
	p := presence{others: make(map[string]string)}
	for _, m := range f.opts.Members() {
		switch process := ownership.Process(m.Lease.Incarnation); {
		case m.Self:
			p.self, p.process = m.Lease.Member, process
		case m.Lease.State == ownership.Live:
			p.others[m.Lease.Member] = process
		}
	}
	return p
}

// is tells whether a process is our own; has, whether it is another member's that is present.
func (p presence) is(member, process string) bool {
	return process != "" && p.self == member && p.process == process
}

func (p presence) has(member, process string) bool {
	return process != "" && p.others[member] == process
}

// watched takes note of the position of our watch of a type, and returns the gap in it. The caller holds mu.
func (f *Finder) watched(t resource.Type, s *search, now time.Time) Gap {
	stats := f.opts.Index.Type(t)
	s.gap = s.gap.next(s.seen, stats, now)
	s.seen = position{since: stats.Since, version: stats.Version}
	return s.gap
}

// closeGaps searches the gaps of our watches, until every peer has written a checkpoint from after them, or is
// gone. Until then our checkpoints claim deletions only up to where the gap begins.
func (f *Finder) closeGaps(ctx context.Context, now time.Time) {
	open := f.openGaps(now)
	if len(open) == 0 {
		return
	}
	here := f.present()
	if !maps.Equal(here.others, f.consulted) { // The last checkpoint of a member that is gone may be on its way.
		if f.opts.Checkpoints.Refresh(ctx) != nil {
			return
		}
		f.consulted = here.others
	}
	var lookups errgroup.Group
	lookups.SetLimit(searchers) // Nearly all of its time is the API server's, in lists of the past.
	for _, o := range open {
		lookups.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			closed, err := f.resolveGap(ctx, o.t, o.search, o.gap, here, now)
			f.mu.Lock()
			defer f.mu.Unlock()
			if o.search.gap == o.gap { // The watch has not begun anew once more.
				o.search.gap = o.gap.looked(closed, err, now)
			}
			return nil
		})
	}
	_ = lookups.Wait() // None returns an error.
}

// openGap is a gap that has to be searched.
type openGap struct {
	t      resource.Type
	search *search
	gap    Gap
}

// openGaps takes note of the positions of all watches, and returns the gaps that are open, in the order of the
// types.
func (f *Finder) openGaps(now time.Time) (open []openGap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.opts.Index.Types() {
		s := f.searches[t]
		if s == nil {
			continue
		}
		if g := f.watched(t, s, now); g.State == Open {
			open = append(open, openGap{t, s, g})
		}
	}
	return open
}

// resolveGap searches for deletions in a gap, by the last checkpoints of the members that are gone. It tells
// whether no peer is left that could still write one.
func (f *Finder) resolveGap(ctx context.Context, t resource.Type, s *search, g Gap, here presence, now time.Time) (closed bool, err error) {
	f.mu.Lock()
	// An incumbent has reported that every deletion from before our first list is delivered, and our watch has
	// had no gap since.
	answered := s.state == Answered && len(s.versions) > 0 && f.opts.Index.Type(t).Before == 0
	f.mu.Unlock()
	if answered || now.Sub(g.begun) > patience {
		return true, nil
	}
	silent := maps.Clone(here.others) // the peers that have written nothing from after the gap
	var versions []uint64             // of the members that are gone
	for _, p := range f.opts.Ledger.Positions(t.String()) {
		process := ownership.Process(p.Incarnation)
		switch {
		case here.is(p.Member, process):
		case here.has(p.Member, process):
			if p.High >= g.Since {
				delete(silent, p.Member)
			}
		case p.High <= g.After || p.High >= g.Since || f.askedAbout(s, p.High):
		default:
			versions = append(versions, p.High)
		}
	}
	slices.Sort(versions)
	// The latest version at which an object existed is nearest to its deletion, of which the receiver is told once.
	deleted := make(map[guard.Object]bool)
	for _, version := range slices.Backward(slices.Compact(versions)) {
		err := f.exactList(ctx, t, version, deleted)
		switch {
		case errors.Is(err, watch.ErrExpired):
			f.mu.Lock()
			f.findings.cannotTell(t)
			f.mu.Unlock()
		case err != nil:
			return false, err
		}
	}
	return len(silent) == 0, nil
}

// askedAbout tells whether a version has been asked about, by the search or for a gap.
func (f *Finder) askedAbout(s *search, version uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return s.asked[version]
}
