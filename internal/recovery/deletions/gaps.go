package deletions

import (
	"context"
	"errors"
	"maps"
	"time"

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
	here := f.present()
	fresh := maps.Equal(here.others, f.consulted)
	for _, t := range f.opts.Index.Types() {
		f.mu.Lock()
		var g Gap
		s := f.searches[t]
		if s != nil {
			g = f.watched(t, s, now)
		}
		f.mu.Unlock()
		if g.State != Open || ctx.Err() != nil {
			continue
		}
		if !fresh { // The last checkpoint of a member that is gone may be on its way.
			if f.opts.Checkpoints.Refresh(ctx) != nil {
				return
			}
			fresh, f.consulted = true, here.others
		}
		closed, err := f.resolveGap(ctx, t, s, g, here, now)
		f.mu.Lock()
		if s.gap == g { // The watch has not begun anew once more.
			s.gap = g.looked(closed, err, now)
		}
		f.mu.Unlock()
	}
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
			err := f.exactList(ctx, t, p.High, make(map[guard.Object]bool))
			switch {
			case errors.Is(err, watch.ErrExpired):
				f.mu.Lock()
				f.findings.cannotTell(t)
				f.mu.Unlock()
			case err != nil:
				return false, err
			}
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
