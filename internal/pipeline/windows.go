package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// While one member sends a type again that others own, an object can have two senders: an older state may overtake a
// newer one that its owner sends meanwhile. Nothing pauses for that. Every member remembers what has changed during such
// a window ([Options.Touched]), and when it is closed, whoever owns an object of those by then says its last word
// again, be it a state or a deletion. Until then the object counts as unacknowledged, so that no checkpoint covers it and
// whoever takes it over, by a handoff or after a crash, sends it as well.

// Permit lets a pipeline send objects that others own. The zero value is invalid.
type Permit struct {
	open  atomic.Bool
	doubt atomic.Bool
}

// Open makes the permit valid: every member knows of it by now.
func (p *Permit) Open() { p.open.Store(true) }

// Revoke makes it invalid. What is not sent by then is left to its owners.
func (p *Permit) Revoke() { p.open.Store(false) }

// Valid tells whether it is.
func (p *Permit) Valid() bool { return p.valid() }

// Doubtful tells whether a request under this permit has had an outcome that nobody knows: it may still be applied.
func (p *Permit) Doubtful() bool { return p.doubt.Load() }

func (p *Permit) valid() bool { return p != nil && p.open.Load() }

// WindowClosed ends a window of the types that match: the requests of others for them have ended, or, in doubt, may
// still be applied by the receiver. The last word of what has changed meanwhile is said again, and in doubt repeated as
// after a request of unknown outcome. What is quarantined is tried again.
func (p *Pipeline) WindowClosed(match func(resource.Type) bool, doubt bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.items {
		switch {
		case !match(*it.typ):
		case it.place == quarantined:
			p.suspectAlone(it, now)
		case it.rare != nil && it.rare.touched:
			p.lastWord(it, doubt, now)
		}
	}
	p.poke()
}

// lastWord says the state of a touched item again.
func (p *Pipeline) lastWord(it *item, doubt bool, now time.Time) {
	it.rare.touched = false
	ours := p.opts.Owner.MaySend(it.id)
	if doubt {
		p.doubt(it, 0)
	}
	switch {
	case it.inFlight && it.seq == it.sentSeq: // What is under way was begun before the window was closed.
		it.seq++
		it.laterAt, it.laterVersion = now, it.version
		if !it.deleted && it.body == "" {
			it.bare = true
		}
	case it.dirty(): // It is on its way, or its owner has it.
	case !ours: // It was, and may be again: in the middle of a handoff nobody owns it.
		it.firstAt, it.firstVersion = now, it.version
		p.park(it)
	default:
		it.firstAt, it.firstVersion = now, it.version
		p.totals.Repeats++
		p.metrics.repeats.Inc()
		switch {
		case it.deleted:
			p.enqueue(&p.deletes, it, now)
		case it.bare:
			p.move(it, hollow)
		default:
			p.enqueue(&p.live, it, now)
		}
	}
}
