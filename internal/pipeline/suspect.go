package pipeline

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// The receivers answer 500 both when they are ill and when one item of a body makes them stumble. What tells the two
// apart is company: a body that fails again while others pass is at fault itself.
//
// So a batch that fails is not put back to the front, where it would hold up everything behind it, but becomes a
// suspect group. Groups are tried apart from fresh batches, with a wait of their own. A group that fails twice with
// another success in between is halved, and so on until one item is alone; an item that fails five times by itself,
// each time with others passing in between, is quarantined. Without any success in between nothing is blamed: the
// receiver is down, and both waits grow.
const (
	// maxTries is how many failures by itself, while others pass, quarantine an item. At a fault rate of 30 % in all
	// requests an innocent object reaches it once in 400 tries, and the retry of the quarantine brings it back.
	maxTries = 5
	// splitHits is how many such failures halve a group.
	splitHits = 2
	// retryPartial is the pause before items that failed in a partial failure are sent again.
	retryPartial = time.Second
	// laneMin and laneMax bound the wait between suspects while nothing passes.
	laneMin, laneMax = time.Second, 15 * time.Second
)

// group is a set of items that failed together.
type group struct {
	items     []*item // those whose group is another by now have left
	deletes   bool
	hits      int       // failures while others passed
	mark      uint64    // Pipeline.passed at the last failure
	notBefore time.Time // not to be tried before
}

// suspects are the groups, the next to be tried first. Upserts and deletes have a lane each: a receiver whose embedder
// is down takes every deletion, which must not make it look well to upserts.
type suspects struct {
	groups []*group
	lanes  [2]lane // by kindOf
}

// lane is the pace at which groups of one kind are tried.
type lane struct {
	running int
	wait    time.Duration // 0 while requests of the kind pass
	nextAt  time.Time
}

// add makes a group of items, all of which are nowhere.
func (s *suspects) add(g *group, items []*item, p *Pipeline) {
	for _, it := range items {
		it.group = g
		p.setPlace(it, suspected)
	}
	g.items = items
	if len(items) > 0 {
		s.groups = append(s.groups, g)
	}
}

// leave takes an item out of its group. The group finds out when it is looked at.
func (s *suspects) leave(it *item) { it.group = nil }

// members are the items that are still in the group.
func (g *group) members() []*item {
	g.items = slices.DeleteFunc(g.items, func(it *item) bool { return it.group != g })
	return g.items
}

// next takes the first group that may be tried now off the list, or returns nil.
func (s *suspects) next(now time.Time) *group {
	for i := 0; i < len(s.groups); i++ {
		g := s.groups[i]
		if len(g.members()) == 0 {
			s.groups = slices.Delete(s.groups, i, i+1)
			i--
			continue
		}
		if l := s.lanes[kindOf(g.deletes)]; now.Before(l.nextAt) || l.wait > 0 && l.running > 0 {
			continue
		}
		if !now.Before(g.notBefore) {
			s.groups = slices.Delete(s.groups, i, i+1)
			return g
		}
	}
	return nil
}

// wakeAt returns when next may return a group that it does not return now. The end of a request is not known to it.
func (s *suspects) wakeAt() (at time.Time, ok bool) {
	for _, g := range s.groups {
		l := s.lanes[kindOf(g.deletes)]
		if l.wait > 0 && l.running > 0 {
			continue
		}
		next := g.notBefore
		if l.nextAt.After(next) {
			next = l.nextAt
		}
		if !ok || next.Before(at) {
			at, ok = next, true
		}
	}
	return at, ok
}

// passed ends the wait of a kind: the receiver takes it.
func (s *suspects) passed(deletes bool) {
	l := &s.lanes[kindOf(deletes)]
	l.wait, l.nextAt = 0, time.Time{}
}

func (s *suspects) backOff(deletes bool, now time.Time) {
	l := &s.lanes[kindOf(deletes)]
	l.wait = min(max(2*l.wait, laneMin), laneMax)
	l.nextAt = now.Add(l.wait)
}

// takeGroup makes a flight of a group.
func (p *Pipeline) takeGroup(g *group) *flight {
	f := &flight{deletes: g.deletes, group: g}
	for _, it := range g.members() {
		if !p.mine(it) {
			p.park(it)
			continue
		}
		p.move(it, nowhere)
		f.items = append(f.items, it)
	}
	if len(f.items) == 0 {
		return nil
	}
	p.suspect.lanes[kindOf(f.deletes)].running++
	return f
}

// landSuspicious takes a failure that may be the fault of the body or of the receiver.
func (p *Pipeline) landSuspicious(f *flight, o wire.Outcome, now time.Time) {
	kind := kindOf(f.deletes)
	if f.group == nil {
		p.report(now, o)
		p.suspect.add(&group{deletes: f.deletes, mark: p.passed[kind]}, p.unchanged(f, now), p)
		return
	}
	g := f.group
	blame := p.passed[kind] > g.mark && !o.Own
	g.mark = p.passed[kind]
	if !blame {
		p.suspect.backOff(f.deletes, now)
		p.regroup(f, now)
		return
	}
	p.edge(p.gate.ReportBodyFault(now))
	g.hits++
	rest := p.unchanged(f, now)
	switch {
	case len(rest) == 1:
		it := rest[0]
		it.alone = true
		it.more().tries = max(it.rare.tries, g.hits)
		if g.hits >= maxTries {
			p.quarantine(it, o.Reason, true, now)
			return
		}
		g.notBefore = now.Add(time.Duration(g.hits) * laneMin / 2)
		p.suspect.add(g, rest, p)
	case g.hits >= splitHits:
		p.split(g, rest, splitHits-1)
	default:
		p.suspect.add(g, rest, p)
	}
}

// bisect takes a body that was refused without a word about which item is bad: its halves tell.
func (p *Pipeline) bisect(f *flight, o wire.Outcome, now time.Time) {
	g := f.group
	if g == nil {
		g = &group{deletes: f.deletes}
	}
	rest := p.unchanged(f, now)
	if len(f.items) == 1 {
		for _, it := range rest {
			p.quarantine(it, o.Reason, false, now)
		}
		return
	}
	p.split(g, rest, g.hits)
}

// split makes two groups of one.
func (p *Pipeline) split(g *group, items []*item, hits int) {
	mark := p.passed[kindOf(g.deletes)]
	half := (len(items) + 1) / 2
	for _, part := range [][]*item{items[:half], items[half:]} {
		p.suspect.add(&group{deletes: g.deletes, hits: hits, mark: mark}, slices.Clone(part), p)
	}
}

// regroup puts the items of a group that learned nothing back to the end of the line.
func (p *Pipeline) regroup(f *flight, now time.Time) {
	p.suspect.add(f.group, p.unchanged(f, now), p)
}

// unchanged sends the items of a flight that changed meanwhile on their way, and returns the others.
func (p *Pipeline) unchanged(f *flight, now time.Time) []*item {
	var rest []*item
	for _, it := range f.items {
		switch {
		case p.resume(it, now):
		case !p.mine(it):
			p.park(it)
		default:
			rest = append(rest, it)
		}
	}
	return rest
}

// suspectAlone makes an item a group of its own, which one more failure while others pass returns to quarantine. One
// without its body is filled first.
func (p *Pipeline) suspectAlone(it *item, now time.Time) {
	if it.bare {
		p.move(it, hollow)
		return
	}
	p.takeOut(it)
	hits := 0
	if it.rare != nil {
		hits = min(it.rare.tries, maxTries-1)
	}
	g := &group{deletes: it.deleted, hits: hits, mark: p.passed[kindOf(it.deleted)], notBefore: now}
	p.suspect.add(g, []*item{it}, p)
}
