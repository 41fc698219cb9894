package app

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

// gap is a time of which our watch of a type has seen only the outcome: the API server did not remember what had happened,
// as after its own restart. Of what was created and deleted in it we know nothing. Another member may have seen the one, and
// have delivered it, and not the other, because it was gone by then: what existed at the version that its last word speaks of,
// in the gap, tells.
//
// What came before our first list is such a gap, too: whoever came after the checkpoints that our search begins with, and was gone
// before our list, is among neither its witnesses nor its versions.
type gap struct {
	after uint64
	since uint64 // guarded by search.mu: it grows when the watch begins anew once more
	begun time.Time
	retry time.Time // used by mind alone
}

func newGap(after, since uint64, now time.Time) *gap {
	return &gap{after: after, since: since, begun: now}
}

// mind looks into the gaps of our watches, until every other member has given a word from after them, or is gone. Until then
// what our checkpoints say of deletions ends where the gap begins; see seen.
func (s *search) mind(ctx context.Context, now time.Time) {
	here := s.present()
	fresh := maps.Equal(here.others, s.heardFrom)
	for _, t := range s.index.Types() {
		s.mu.Lock()
		g, since := s.gapOf(t), uint64(0)
		if g != nil {
			since = g.since
		}
		s.mu.Unlock()
		if g == nil || now.Before(g.retry) || ctx.Err() != nil {
			continue
		}
		if !fresh { // The last word of somebody who is gone may be on its way.
			if s.store.Refresh(ctx) != nil {
				return
			}
			fresh, s.heardFrom = true, here.others
		}
		if !s.lookInto(ctx, t, g, since, here, now) {
			continue
		}
		s.mu.Lock()
		if g.since == since { // Otherwise the watch has begun anew once more.
			delete(s.gaps, t)
		}
		s.mu.Unlock()
	}
}

// gapOf returns the gap in the watch of a type, nil for none. The caller holds mu.
func (s *search) gapOf(t resource.Type) *gap {
	stats, g := s.index.Type(t), s.gaps[t]
	last, ok := s.watched[t]
	s.watched[t] = watched{since: stats.Since, version: stats.Version}
	switch {
	case !ok || last.since == stats.Since:
		return g
	case stats.Before == 0: // etcd was restored from a backup
		delete(s.gaps, t)
		return nil
	case stats.Since == last.version: // nothing has happened
		return g
	case g == nil: // The watch may have begun anew more than once since, of which only the last time is known.
		g = newGap(min(last.version, stats.Before), stats.Since, time.Now())
		s.gaps[t] = g
	}
	g.since = stats.Since
	return g
}

// watched is how far a type had been seen when its gaps were looked at, and since which list.
type watched struct{ since, version uint64 }

// lookInto looks for what was deleted in a gap that ends at a version, by the last words of those who are gone. It tells
// whether there is nobody left who could give one.
func (s *search) lookInto(ctx context.Context, t resource.Type, g *gap, since uint64, here presence, now time.Time) (done bool) {
	if s.answered(t) || now.Sub(g.begun) > patience {
		return true
	}
	silent := maps.Clone(here.others) // who is there, and has given no word from after the gap
	for _, word := range s.book.Words(t.String()) {
		process := ownership.Process(word.Incarnation)
		switch {
		case here.is(word.Member, process):
		case here.has(word.Member, process):
			if word.High >= since {
				delete(silent, word.Member)
			}
		case word.High <= g.after || word.High >= since || s.askedAbout(t, word.High):
		default:
			found, err := s.findAt(ctx, t, word.High, make(map[[2]string]bool))
			s.metrics.found.WithLabelValues(fromExact).Add(float64(found))
			s.mu.Lock()
			s.found += found
			if errors.Is(err, watch.ErrExpired) {
				s.unknown[t] = true
				s.untold = append(s.untold, t.String())
				err = nil
			}
			s.mu.Unlock()
			if err != nil {
				g.retry = now.Add(searchPause)
				return false
			}
		}
	}
	return len(silent) == 0
}

// askedAbout tells whether a version has been asked about, by the search or for a gap.
func (s *search) askedAbout(t resource.Type, version uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.types[t]
	return e != nil && e.asked[version]
}

// answered tells whether somebody who had seen everything has said that all is delivered that was deleted before our first list,
// and we have had no gap since.
func (s *search) answered(t resource.Type) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.types[t]
	return e != nil && e.answered && s.index.Type(t).Before == 0
}
