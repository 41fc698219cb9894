package discovery

import "time"

const (
	// specDelay is how long an API server takes to serve a changed spec.
	specDelay = time.Second
	// between is the least time between two discoveries for definitions that are created and deleted. Discovery
	// sees each of them within two seconds.
	between = time.Second
)

// pace says when to ask discovery again, given news of definitions. The creation or deletion of a definition is
// urgent. The first change causes a discovery; further ones cause one in ten seconds at most. While discoveries
// find nothing new, they become rarer, because some controllers write a definition all the time. All methods of
// pace are pure.
//
//	         heard of a change        asked, nothing new
//	calm ────────────────────▶ due ─────────────────────▶ pausing: the next change is due when the pause is over,
//	 ▲                                                       │      and each time the pause doubles
//	 └───────────────────────────────────────────────────────┘ no change for a pause after the pause
type pace struct {
	least, most time.Duration // bounds of the pause

	pause time.Duration // after a discovery for a change, until one for the next change
	asked time.Time     // the last discovery for a change
	due   time.Time     // the next discovery for a change; zero for never
	last  time.Time     // the last discovery, for whatever reason
}

func newPace(least, most time.Duration) pace { return pace{least: least, most: most, pause: least} }

// heard returns when to ask discovery for news of a definition; zero for not at all.
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

// answered notes that discovery was asked; anything tells whether it found something new.
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
