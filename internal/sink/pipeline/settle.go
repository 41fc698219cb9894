package pipeline

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// A request whose outcome is unknown may be applied by the receiver after a newer one has been: both known receivers
// finish what they have read, whether or not the client has left meanwhile. What such a request carried is
// doubted, from its end until [Options.Repeats] settle times after the next acknowledgement, because a
// receiver may have held it for minutes.
//
//	          unknown outcome          acknowledged, the same state         Repeats settle times
//	in flight ───────────────▶ unsure ──────────────────────────▶ watched ─────────────────────▶ forgotten
//	                              │                                  │ changed, and acknowledged     ▲
//	                              └──acknowledged, another state─▶ settling ─────────────────────────┘
//	                                                              repeated once each settle time
//
// The doubted state can do harm only to another one: as long as the object is in it, a late arrival changes nothing. So
// the doubt is silent until the object changes, or is known to have been in two states that are doubted.
//
// Of what others may have had under way when they crashed or left, most was not: it is a suspicion, and the
// last word is repeated after the first settle time and after the last.

// doubt notes that a state of an item, or several or an unknown one (0), may still be applied by the receiver.
func (p *Pipeline) doubt(it *item, state uint64) {
	r := it.withExtra()
	switch {
	case !r.inDoubt():
		r.doubted = state
	case r.doubted != state:
		r.doubted = 0
	}
	r.unsure = true
	p.tally.setUnsettled(it)
}

// Doubt is what a member leaves to the next owner of an object that a request of unknown outcome may still change.
type Doubt struct {
	ID resource.ID
	// Version is that of the state which the member knew, and Acknowledged tells whether it was acknowledged.
	Version      uint64
	Acknowledged bool
	// Overwritable tells that another state than this may still be applied.
	Overwritable bool
}

// takeDoubt takes another member's doubt, or that of an earlier life, about an item. It tells whether the item's
// state is acknowledged, so that it need not be sent.
func (p *Pipeline) takeDoubt(it *item, d Doubt) bool {
	same := d.Version == it.Version && d.Version != 0 && !it.several
	state := uint64(0)
	if same && !d.Overwritable {
		state = it.mark()
	}
	p.doubt(it, state)
	it.extra.suspicion = true
	return same && d.Acknowledged
}

// watchOver takes an item that is acknowledged and in doubt.
func (p *Pipeline) watchOver(it *item, now time.Time) {
	p.move(it, nowhere)
	p.arrived(it)
	if it.overwritable() {
		p.spare(it)
	} else {
		p.giveUp(it) // It is needed only if the object changes, and comes with the change.
	}
	if !p.settle(it, now) {
		p.forget(it)
	}
}

// defaultRepeats is [Options.Repeats] if that is 0.
const defaultRepeats = 5

// DoubtFor is how long a receiver of that settle time may hold a request whose outcome is unknown.
func DoubtFor(settle time.Duration) time.Duration { return defaultRepeats * settle }

// doubtFor is that of this pipeline.
func (p *Pipeline) doubtFor() time.Duration { return time.Duration(p.opts.Repeats) * p.settleTime() }

// settleTime is the receiver's settle time, but no less than its slowest answer of late has taken: one that works on a
// request for so long does the same with one whose client has gone.
func (p *Pipeline) settleTime() time.Duration { return max(p.opts.Settle, p.lastWords.slowest.took) }

// lastWords is what a pipeline knows of all its last words.
type lastWords struct {
	fenced  []*item // items whose last word came due while we might not send
	slowest slowest
}

// slowest is the slowest answer of late.
type slowest struct {
	took time.Duration
	at   time.Time
}

// slowestFor is for how long a slow answer counts: a receiver that was busy once is not busy for ever.
const slowestFor = 10 * time.Minute

// note takes how long an answer has taken.
func (s *slowest) note(took time.Duration, now time.Time) {
	if took >= s.took || now.Sub(s.at) > slowestFor {
		s.took, s.at = took, now
	}
}

// tells whether we still tell of a doubt about an item that we have given away. Its new owner may read our checkpoint
// only after we have written the next one, under another claim. Of two that have given it away neither waits for the
// other: each tells only for as long as the receiver may hold a request.
func (p *Pipeline) tells(it *item, now time.Time) bool {
	return it.extra != nil && it.extra.inDoubt() && (it.place == nowhere || now.Before(it.extra.toldUntil))
}

// overwritable tells whether what is doubted of an item is another state than its own.
func (it *item) overwritable() bool {
	return it.extra != nil && it.extra.inDoubt() && it.extra.doubted != it.mark()
}

// settle advances the doubt about an item that has just been acknowledged. It returns false when there is none.
func (p *Pipeline) settle(it *item, now time.Time) bool {
	r := it.extra
	switch {
	case r.unsure:
		r.unsure = false
		r.repeats = p.opts.Repeats
		r.settleAt = now.Add(p.settleTime())
	case r.repeats > 0 && !now.Before(r.settleAt):
		p.countDown(it, now)
	}
	if r.repeats == 0 {
		return false
	}
	p.timers.add(it, r.settleAt)
	return true
}

func (p *Pipeline) countDown(it *item, now time.Time) {
	it.extra.settleAt = now.Add(p.settleTime())
	it.extra.repeats--
	p.tally.setUnsettled(it)
}

// repeat takes the end of a settle time: the last word is said again if what is doubted could have
// overwritten it, unless a newer one is on its way. A fence is no handoff: what comes due in it waits for its
// end.
func (p *Pipeline) repeat(it *item, now time.Time) {
	r := it.extra
	switch {
	case r.repeats == 0 || it.dirty():
		// Its next acknowledgement counts, and starts the timer again.
	case now.Before(r.settleAt):
		p.timers.add(it, r.settleAt)
	case !it.overwritable(), r.suspicion && r.repeats != p.opts.Repeats && r.repeats != 1:
		if p.countDown(it, now); r.repeats > 0 {
			p.timers.add(it, r.settleAt)
		} else {
			p.forget(it)
		}
	case !p.opts.Owner.MaySend(*it.typ, it.id):
		p.lastWords.fenced = append(p.lastWords.fenced, it)
	default:
		p.sendAgain(it, now)
	}
}

// fencePause is how often a fenced member looks whether it may say a last word.
const fencePause = time.Second

// askTaken decides about last words that came due while we might not send: a new owner repeats what it takes over in
// doubt, but a fence has none. It is called without the lock, for who knows may be waiting for it.
func (p *Pipeline) askTaken() {
	p.mu.Lock()
	fenced := p.lastWords.fenced
	p.lastWords.fenced = nil
	p.mu.Unlock()
	for _, it := range fenced {
		taken := p.opts.Taken(*it.typ, it.id)
		p.mu.Lock()
		switch {
		case p.items.byID[it.id] != it || it.dirty() || !it.extra.inDoubt():
		case taken:
			p.forget(it)
		default:
			p.timers.add(it, time.Now().Add(fencePause))
			p.wakeLoop() // It may be the first to become due.
		}
		p.mu.Unlock()
	}
}

// sendAgain says the last word of an acknowledged item again.
func (p *Pipeline) sendAgain(it *item, now time.Time) {
	it.first = onset{p.ages.moment(now), it.Version}
	p.record.repeated()
	switch {
	case it.Deleted:
		p.enqueue(classDeletes, it, now)
	case it.evicted:
		p.move(it, evicted)
	default:
		p.enqueue(classLive, it, now)
	}
}
