package pipeline

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The receiver may apply a request of unknown outcome after a newer one. Both known receivers finish what they
// have read, whether or not the client has left meanwhile. The states that such a request carried are doubted.
// The doubt lasts from the end of the request until [Options.Repeats] settle times after the next
// acknowledgement, because a receiver may have held the request for minutes.
//
//	          unknown outcome          acknowledged, the same state         Repeats settle times
//	in flight ───────────────▶ unsure ──────────────────────────▶ watched ─────────────────────▶ forgotten
//	                              │                                  │ changed, and acknowledged     ▲
//	                              └──acknowledged, another state─▶ settling ─────────────────────────┘
//	                                                              repeated once each settle time
//
// The doubted state can harm only another state: as long as the object is in it, a late arrival changes nothing.
// So the doubt is silent until the object changes, or is known to have been in two states that are doubted.
//
// When other members crash or leave, few of the objects were really in their requests. For these objects the
// doubt is a suspicion, and the last word is repeated after the first settle time and after the last. An object that
// is in doubt by a request of our own keeps that doubt.

// doubt notes that the receiver may still apply a state of an item; 0 stands for several states or an unknown
// one.
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

// suspect notes a doubt about requests of another member. It takes nothing from a doubt about our own.
func (p *Pipeline) suspect(it *item, state uint64) {
	certain := it.extra != nil && it.extra.inDoubt() && !it.extra.suspicion
	p.doubt(it, state)
	it.extra.suspicion = !certain
}

// Doubt is a former owner's report of an object that a request of unknown outcome may still change.
type Doubt struct {
	ID resource.ID
	// Version is that of the state which the member knew. Acknowledged tells whether that state was acknowledged.
	Version      uint64
	Acknowledged bool
	// Overwritable tells that the receiver may still apply another state than this.
	Overwritable bool
}

// takeDoubt takes the doubt of another member, or of an earlier process, about an item. It tells whether the
// item's state is acknowledged, so that it need not be sent. If the doubt is about a newer state than ours, our watch
// is behind, and the item waits for it without its body.
func (p *Pipeline) takeDoubt(it *item, d Doubt) bool {
	same := d.Version == it.Version && d.Version != 0 && !it.several
	state := uint64(0)
	if same && !d.Overwritable {
		state = it.mark()
	}
	p.suspect(it, state)
	if !it.Deleted && it.Version < d.Version {
		it.extra.behind, p.items.late = d.Version, true
		if !it.inFlight { // Its request may fail, and be tried again.
			p.giveUp(it)
		}
	}
	return same && d.Acknowledged
}

// behind tells whether a former owner may have sent a newer state of an item than we know. An older one must not follow
// it: a member whose watch brings the newer one takes that for delivered. Our watch is going to bring it, too.
func (it *item) behind() bool {
	return it.extra != nil && !it.Deleted && it.Version < it.extra.behind
}

// watchOver takes an item that is acknowledged and in doubt.
func (p *Pipeline) watchOver(it *item, now time.Time) {
	p.move(it, nowhere)
	p.arrived(it)
	if it.overwritable() {
		p.spare(it)
	} else {
		p.giveUp(it) // The body is needed only if the object changes, and comes with the change.
	}
	if !p.settle(it, now) {
		p.forget(it)
	}
}

// defaultRepeats is [Options.Repeats] if that is 0.
const defaultRepeats = 5

// DoubtFor returns how long a receiver of that settle time may hold a request whose outcome is unknown.
func DoubtFor(settle time.Duration) time.Duration { return defaultRepeats * settle }

// doubtFor returns how long the receiver of this pipeline may hold such a request.
func (p *Pipeline) doubtFor() time.Duration { return time.Duration(p.opts.Repeats) * p.settleTime() }

// settleTime returns the receiver's settle time, but no less than its slowest recent answer took. A receiver that
// works on a request for so long does the same with a request whose client has gone.
func (p *Pipeline) settleTime() time.Duration { return max(p.opts.Settle, p.lastWords.slowest.took) }

// lastWords is the pipeline's knowledge of all its last words.
type lastWords struct {
	fenced  []*item // items whose last word came due while we might not send
	slowest slowest
}

// slowest is the slowest recent answer.
type slowest struct {
	took time.Duration
	at   time.Time
}

// slowestFor is how long a slow answer counts: a receiver that was busy once is not busy for ever.
const slowestFor = 10 * time.Minute

// note takes the duration of an answer.
func (s *slowest) note(took time.Duration, now time.Time) {
	if took >= s.took || now.Sub(s.at) > slowestFor {
		s.took, s.at = took, now
	}
}

// tells reports whether we still name a doubt about an item that we have given away. Its new owner may read our
// checkpoint only after we have written the next one, under another claim. Two members that have both given the
// item away do not wait for each other. Each reports only for as long as the receiver may hold a request.
func (p *Pipeline) tells(it *item, now time.Time) bool {
	return it.extra != nil && it.extra.inDoubt() && (it.place == nowhere || now.Before(it.extra.toldUntil))
}

// overwritable tells whether the doubted state of an item is another than its own.
func (it *item) overwritable() bool {
	return it.extra != nil && it.extra.inDoubt() && it.extra.doubted != it.mark()
}

// settle advances the doubt about an item that has just been acknowledged. It returns false when there is no
// doubt.
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

// passOver lets one repetition of a last word pass without a request. After the last one the doubt is over.
func (p *Pipeline) passOver(it *item, now time.Time) {
	if p.countDown(it, now); it.extra.repeats > 0 {
		p.timers.add(it, it.extra.settleAt)
	} else {
		p.forget(it)
	}
}

// repeat takes the end of a settle time. The last word is sent again if the doubted state could have overwritten
// it, unless a newer state is on its way. A fence is no handoff: a last word that comes due while we are fenced
// waits for the end of the fence.
func (p *Pipeline) repeat(it *item, now time.Time) {
	r := it.extra
	switch {
	case r.repeats == 0 || it.dirty():
		// Its next acknowledgement counts, and starts the timer again.
	case now.Before(r.settleAt):
		p.timers.add(it, r.settleAt)
	case !it.overwritable(), r.suspicion && r.repeats != p.opts.Repeats && r.repeats != 1:
		p.passOver(it, now)
	case !p.opts.Owner.MaySend(*it.typ, it.id):
		p.lastWords.fenced = append(p.lastWords.fenced, it)
	default:
		p.sendAgain(it, now)
	}
}

// fencePause is the interval at which a fenced member checks whether it may send a last word.
const fencePause = time.Second

// askTaken decides about last words that came due while we might not send. A new owner repeats the last words
// that it takes over in doubt, but during a fence there is no new owner. askTaken is called without the lock,
// because the callee may be waiting for the lock.
func (p *Pipeline) askTaken() {
	p.mu.Lock()
	fenced := p.lastWords.fenced
	p.lastWords.fenced = nil
	p.mu.Unlock()
	for _, it := range fenced {
		taken := p.opts.Taken(*it.typ, it.id)
		p.mu.Lock()
		switch now := time.Now(); {
		case p.items.byID[it.id] != it || it.dirty() || !it.extra.inDoubt():
		case taken: // The new owner may not have read of the doubt, so we report it until it would have been over.
			p.passOver(it, now)
		default:
			p.timers.add(it, now.Add(fencePause))
		}
		p.wake.Wake() // This item may be the first to become due.
		p.mu.Unlock()
	}
}

// sendAgain sends the last word of an acknowledged item again.
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
