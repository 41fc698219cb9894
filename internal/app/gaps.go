package app

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// presence says who is there at one moment.
type presence struct {
	self, process string
	others        map[string]string // processes by member
}

func (f *finder) present() presence {
	p := presence{others: make(map[string]string)}
	for _, m := range f.leases() {
		switch process := ownership.Process(m.Lease.Incarnation); {
		case m.Self:
			p.self, p.process = m.Lease.Member, process
		case m.Lease.State == ownership.Live:
			p.others[m.Lease.Member] = process
		}
	}
	return p
}

// is tells whether a process of a member is ours; has, whether it is another's that is there.
func (p presence) is(member, process string) bool {
	return process != "" && p.self == member && p.process == process
}

func (p presence) has(member, process string) bool {
	return process != "" && p.others[member] == process
}

// gapOf returns the gap in the watch of a type, nil for none. A gap that is open stays so if the watch begins
// anew once more, and grows. The caller holds mu.
func (f *finder) gapOf(t resource.Type, l *look, now time.Time) *gap {
	stats, last := f.index.Type(t), l.seen
	l.seen = position{since: stats.Since, version: stats.Version}
	switch {
	case last.since == stats.Since:
		return l.gap
	case stats.Before == 0: // etcd was restored from a backup
		l.gap = nil
		return nil
	case stats.Since == last.version: // nothing has happened
		return l.gap
	case l.gap == nil: // The watch may have begun anew more than once since, of which only the last time is known.
		l.gap = &gap{after: min(last.version, stats.Before), begun: now}
	}
	grown := *l.gap
	grown.since = stats.Since
	l.gap = &grown // closeGaps may be looking into the one before.
	return l.gap
}

// closeGaps looks into the gaps of our watches, until every peer has written a checkpoint from after them, or
// is gone. Until then what our checkpoints say of deletions ends where the gap begins.
func (f *finder) closeGaps(ctx context.Context, now time.Time) {
	here := f.present()
	fresh := maps.Equal(here.others, f.consulted)
	for _, t := range f.index.Types() {
		f.mu.Lock()
		var g *gap
		l := f.looks[t]
		if l != nil {
			g = f.gapOf(t, l, now)
		}
		f.mu.Unlock()
		if g == nil || now.Before(g.retry) || ctx.Err() != nil {
			continue
		}
		if !fresh { // The last checkpoint of a member that is gone may be on its way.
			if f.store.Refresh(ctx) != nil {
				return
			}
			fresh, f.consulted = true, here.others
		}
		closed, err := f.resolveGap(ctx, t, l, *g, here, now)
		f.mu.Lock()
		switch {
		case l.gap != g: // The watch has begun anew once more.
		case err != nil:
			g.retry = now.Add(searchPause)
		case closed:
			l.gap = nil
		}
		f.mu.Unlock()
	}
}

// resolveGap looks for what was deleted in a gap, by the last checkpoints of the members that are gone. It
// tells whether no peer is left that could still write one.
func (f *finder) resolveGap(ctx context.Context, t resource.Type, l *look, g gap, here presence, now time.Time) (closed bool, err error) {
	f.mu.Lock()
	// An incumbent has said that all is delivered that was deleted before our first list, and we have had no gap since.
	told := l.state == answered && len(l.versions) > 0 && f.index.Type(t).Before == 0
	f.mu.Unlock()
	if told || now.Sub(g.begun) > patience {
		return true, nil
	}
	silent := maps.Clone(here.others) // the peers that have written nothing from after the gap
	for _, p := range f.ledger.Positions(t.String()) {
		process := ownership.Process(p.Incarnation)
		switch {
		case here.is(p.Member, process):
		case here.has(p.Member, process):
			if p.High >= g.since {
				delete(silent, p.Member)
			}
		case p.High <= g.after || p.High >= g.since || f.askedAbout(l, p.High):
		default:
			err := f.compareAt(ctx, t, p.High, make(map[[2]string]bool))
			switch {
			case errors.Is(err, watch.ErrExpired):
				f.mu.Lock()
				f.setUnknown(t)
				f.mu.Unlock()
			case err != nil:
				return false, err
			}
		}
	}
	return len(silent) == 0, nil
}

// askedAbout tells whether a version has been asked about, by the search or for a gap.
func (f *finder) askedAbout(l *look, version uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.asked[version]
}
