package discovery

import "time"

const (
	// specDelay is how long an API server takes to serve what a changed spec says.
	specDelay = time.Second
	// between keeps discoveries for definitions that come and go apart: each of them is seen within two seconds.
	between = time.Second
)

// pace says when discovery is asked again, by what was heard of definitions. A definition that comes or goes is urgent.
// One that changes is answered once, and then not more often than every ten seconds, and more and more seldom while
// nothing comes of it: there are controllers that write a definition all the time. All its methods are pure.
//
//	         heard of a change        asked, nothing new
//	calm ────────────────────▶ due ─────────────────────▶ pausing: the next change is due when the pause is over,
//	 ▲                                                       │      and each time the pause doubles
//	 └───────────────────────────────────────────────────────┘ no change for a pause after the pause
type pace struct {
	least, most time.Duration // of the pause

	pause time.Duration // until a change is due again after it was asked for one
	asked time.Time     // when discovery was asked for a change last
	due   time.Time     // when it is to be asked for one; zero for never
	last  time.Time     // when discovery was asked last, for whatever reason
}

func newPace(least, most time.Duration) pace { return pace{least: least, most: most, pause: least} }

// heard returns when discovery is to be asked for a definition that was observed; zero for not at all.
func (p *pace) heard(n news, debounce time.Duration, now time.Time) time.Time {
	switch n {
	case arrived:
		return latest(now.Add(debounce), p.last.Add(between))
	case changed:
		if p.due.IsZero() {
			if now.Sub(p.asked) > 2*p.pause {
				p.pause = p.least
			}
			p.due = now.Add(max(debounce, specDelay))
			if !p.asked.IsZero() {
				p.due = latest(p.due, p.asked.Add(p.pause))
			}
		}
		return p.due
	default:
		return time.Time{}
	}
}

// answered notes that discovery was asked. Anything tells whether something new came of it.
func (p *pace) answered(anything bool, now time.Time) {
	p.last = now
	if p.due.IsZero() || now.Before(p.due) {
		return
	}
	p.due = time.Time{}
	switch {
	case anything:
		p.pause = p.least
	case !p.asked.IsZero() && now.Sub(p.asked) < 2*p.pause:
		p.pause = min(2*p.pause, p.most)
	}
	p.asked = now
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
