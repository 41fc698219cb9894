package pipeline

import (
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// retryMin and retryMax bound the wait before a quarantined item is tried again whose refusal leaves doubt (a 500
// may be the receiver's embedder refusing a credential). After a clear refusal (400), an item is not tried again
// by itself.
const (
	retryMin = 15 * time.Second
	retryMax = 10 * time.Minute
)

// quarantine sets an item aside until it changes or a resync asks for it.
func (p *Pipeline) quarantine(it *item, why string, doubtful bool, now time.Time) {
	if !p.opts.Owner.MaySend(*it.typ, it.id) { // The item's owner finds out by itself.
		p.park(it)
		return
	}
	r := it.withExtra()
	first := r.why == ""
	if first {
		r.since = now
	}
	r.why = why
	p.narrow(it, 1, false)
	p.spare(it)
	p.move(it, quarantined)
	p.arrived(it)
	if doubtful {
		r.tries = max(r.tries, maxTries)
		p.timers.add(it, now.Add(min(retryMin<<min(r.tries-maxTries, 10), retryMax)))
	}
	p.record.quarantined(it.id)
	if first {
		p.opts.Log.Info("Object quarantined: the receiver refuses it; it is tried again when it changes or at a resync",
			"target", p.opts.Target, "id", string(it.id), "reason", why)
	}
}

// retryQuarantined tries a doubtful item again by itself, unless the receiver is in trouble anyway. An item
// without its body is filled first.
func (p *Pipeline) retryQuarantined(it *item, now time.Time) {
	switch {
	case p.breaker.State().Open:
		p.timers.add(it, now.Add(retryMin))
	case it.evicted:
		p.move(it, evicted)
	default:
		p.takeOut(it)
		p.narrow(it, 1, false)
		p.retry(it, now)
	}
}

// Quarantined is an object that the receiver refuses.
type Quarantined struct {
	// ID names the object.
	ID resource.ID
	// Reason is the reason that the receiver gave.
	Reason string
	// Since is when the object was refused first.
	Since time.Time
}

// Quarantined returns the objects that are set aside, sorted by ID, at most limit of them (0: all).
func (p *Pipeline) Quarantined(limit int) []Quarantined {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tally.places[quarantined] == 0 {
		return nil
	}
	var all []Quarantined
	for _, it := range p.items.byID {
		if it.place == quarantined {
			all = append(all, Quarantined{ID: it.id, Reason: it.extra.why, Since: it.extra.since})
		}
	}
	slices.SortFunc(all, func(a, b Quarantined) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}
