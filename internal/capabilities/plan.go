package capabilities

import (
	"maps"
	"slices"
	"time"
)

// timing holds the pauses of a plan.
type timing struct {
	batch   int           // names in a request
	settle  time.Duration // between the appearance of a definition and its scan
	perName time.Duration // a scan's likely duration, by name
}

const (
	// busyWait follows a 429 without a time. Four scans run then, of which one ends within about half a minute.
	busyWait = 30 * time.Second
	// leastWait and mostWait bound the pause after a failure, which doubles in between.
	leastWait, mostWait = 5 * time.Second, 5 * time.Minute
	// mostBusy bounds what a Retry-After can ask for.
	mostBusy = 15 * time.Minute
)

// batch is the content of one request.
type batch struct {
	upserts, deletes []string
	identities       map[string]string // of upserts
}

func (b batch) size() int { return len(b.upserts) + len(b.deletes) }

// result is the outcome of a batch.
type result struct {
	kind  kind
	after time.Duration // the pause that the receiver asked for, 0 for none
}

type kind uint8

const (
	// failed: the receiver may or may not have read the batch.
	failed kind = iota
	accepted
	// busy: the receiver has too many scans under way.
	busy
	// refused: the receiver does not take these names.
	refused
)

// plan decides what is sent next. It has no clock and does not know HTTP.
type plan struct {
	timing   timing
	done     map[string]string    // as stored: name to identity, "" for a scan that was begun
	seen     map[string]time.Time // when a definition that is to be scanned was first seen
	alone    map[string]bool      // names that are to be sent without others
	set      map[string]string    // names that are refused, with their identities at that time; "" for a removal
	notUntil time.Time
	failures int // in a row
}

// newPlan begins with a pause: an earlier leader, or an earlier process, may have left a scan under way.
func newPlan(now time.Time, t timing, done map[string]string) *plan {
	if done == nil {
		done = map[string]string{}
	}
	return &plan{
		timing: t, done: done, seen: map[string]time.Time{}, alone: map[string]bool{}, set: map[string]string{},
		notUntil: now.Add(time.Duration(t.batch) * t.perName),
	}
}

// next returns the batch to send at that time. If that is empty, it returns when to ask again; a zero time means
// when something changes.
func (p *plan) next(now time.Time, defs map[string]string) (batch, time.Time) {
	names, wake := p.due(now, defs)
	if len(names) == 0 {
		return batch{}, wake
	}
	if now.Before(p.notUntil) {
		return batch{}, p.notUntil
	}
	together := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return p.alone[n] })
	if len(together) == 0 {
		together = names[:1]
	}
	b := batch{upserts: []string{}, deletes: []string{}, identities: map[string]string{}}
	for _, n := range together[:min(len(together), p.timing.batch)] {
		if identity, ok := defs[n]; ok {
			b.upserts = append(b.upserts, n)
			b.identities[n] = identity
		} else {
			b.deletes = append(b.deletes, n)
		}
	}
	return b, time.Time{}
}

// due returns the names to send, removed ones first, then added ones, and when the next becomes due.
func (p *plan) due(now time.Time, defs map[string]string) (names []string, wake time.Time) {
	maps.DeleteFunc(p.seen, func(n string, _ time.Time) bool { _, ok := defs[n]; return !ok })
	maps.DeleteFunc(p.set, func(n, identity string) bool { return defs[n] != identity })
	for _, n := range slices.Sorted(maps.Keys(p.done)) {
		if _, ok := defs[n]; !ok && !p.isSet(n) {
			names = append(names, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(defs)) {
		if p.done[n] == defs[n] || p.isSet(n) {
			continue
		}
		if _, ok := p.seen[n]; !ok {
			p.seen[n] = now
		}
		switch at := p.seen[n].Add(p.timing.settle); {
		case !now.Before(at):
			names = append(names, n)
		case wake.IsZero() || at.Before(wake):
			wake = at
		}
	}
	return names, wake
}

func (p *plan) isSet(name string) bool { _, ok := p.set[name]; return ok }

// pending is how many names are still to be sent, and aside how many were refused.
func (p *plan) pending(defs map[string]string) (pending, aside int) {
	for n := range p.done {
		if _, ok := defs[n]; !ok && !p.isSet(n) {
			pending++
		}
	}
	for n, identity := range defs {
		if p.done[n] != identity && !p.isSet(n) {
			pending++
		}
	}
	return pending, len(p.set)
}

// begin records that a batch is about to be sent, and tells whether the store has to be written first.
func (p *plan) begin(b batch) (changed bool) {
	for _, n := range b.upserts {
		if identity, ok := p.done[n]; !ok || identity != "" {
			p.done[n], changed = "", true
		}
	}
	return changed
}

// complete records the outcome of a batch, and tells whether the store has to be written.
func (p *plan) complete(now time.Time, b batch, r result) (changed bool) {
	if r.kind != failed {
		p.failures = 0
	}
	switch r.kind {
	case accepted:
		p.notUntil = now.Add(time.Duration(b.size()) * p.timing.perName)
		p.accept(b)
		return true
	case busy:
		p.notUntil = now.Add(min(max(r.after, busyWait), mostBusy))
	case refused:
		p.notUntil = now.Add(leastWait)
		p.refuse(b)
	case failed:
		wait := min(leastWait<<min(p.failures, 10), mostWait)
		p.failures++
		p.notUntil = now.Add(min(max(r.after, wait), mostBusy))
	}
	return false
}

func (p *plan) accept(b batch) {
	for _, n := range b.upserts {
		p.done[n] = b.identities[n]
		delete(p.seen, n)
		delete(p.alone, n)
	}
	for _, n := range b.deletes {
		delete(p.done, n)
		delete(p.alone, n)
	}
}

func (p *plan) refuse(b batch) {
	for _, n := range slices.Concat(b.upserts, b.deletes) {
		if b.size() == 1 {
			p.set[n] = b.identities[n]
			delete(p.alone, n)
		} else {
			p.alone[n] = true
		}
	}
}
