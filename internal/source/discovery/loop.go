package discovery

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	clientdiscovery "k8s.io/client-go/discovery"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// repeats are the pauses before discovery asks again while the served types do not agree with the definitions.
// An API server serves a new type some 100 ms after it has accepted the definition; a slow server takes seconds.
// A definition that is never served costs these four requests, once for each change.
var repeats = []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 5 * time.Second}

// everything is the filter of a nil Options.Filter.
type everything struct{}

func (everything) Match(resource.Type) bool         { return true }
func (everything) Unknown([]resource.Type) []string { return nil }

// loop is one run of a Discovery. One goroutine uses it; only heard is called by others.
type loop struct {
	d        *Discovery
	apply    func(Change)
	state    *state
	crds     *definitions // nil when definitions are not watched
	services *definitions
	trigger  wake.Slot // news has grown
	pace     pace

	mu    sync.Mutex                    // guards the fields below
	news  news                          // the most urgent news of definitions since the last discovery was planned
	named map[schema.GroupResource]bool // the resources in the last answer; replaced, never changed

	told     *Change // the last Change; nil before the first
	since    map[string]time.Time
	backoff  time.Duration // until the next discovery while groups fail
	repeated int           // discoveries since the last change of a definition
}

func newLoop(d *Discovery, apply func(Change)) *loop {
	filter := d.opts.Filter
	if filter == nil {
		filter = everything{}
	}
	return &loop{
		d:       d,
		apply:   apply,
		state:   newState(filter, d.opts.Doubt, d.opts.Known),
		trigger: wake.New(),
		pace:    newPace(d.opts.RetryInterval, d.opts.Interval),
		since:   map[string]time.Time{},
	}
}

func (l *loop) run(ctx context.Context) error {
	var watches sync.WaitGroup
	defer watches.Wait()
	if c := l.d.client; c != nil {
		l.crds = newDefinitions(c, crdResource, l.d.opts, l.heardCRD)
		l.services = newDefinitions(c, serviceResource, l.d.opts, l.heardService)
		l.d.mu.Lock()
		l.d.loop = l
		l.d.mu.Unlock()
		watches.Go(func() { l.crds.run(ctx, c) })
		watches.Go(func() { l.services.run(ctx, c) })
	}
	wait := l.discover(ctx)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	next := time.Now().Add(wait) // the time when timer fires
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.trigger:
			// The first of many changes starts the clock, so that a stream of changes cannot put discovery off for
			// ever.
			n := l.take()
			if n == arrived {
				l.repeated = 0
			}
			if soon := l.pace.heard(n, l.d.opts.Debounce, time.Now()); !soon.IsZero() && soon.Before(next) {
				next = soon
				timer.Reset(time.Until(next))
			}
		case <-timer.C:
			wait = l.discover(ctx)
			next = time.Now().Add(wait)
			timer.Reset(wait)
		}
	}
}

// heardCRD takes news of a CustomResourceDefinition. A write may mean that its type is served from now on, but
// means nothing for a type that is served already.
func (l *loop) heardCRD(name string, n news) {
	if f := l.d.opts.OnDefinition; f != nil && n != rewritten {
		f()
	}
	if n == rewritten && name != "" && !l.serves(name) {
		n = changed
	}
	l.heard(n)
}

// heardService takes news of an APIService. The status of an APIService that is not the API server's own says
// whether its API answers.
func (l *loop) heardService(name string, n news) {
	if d, known := l.services.get(name); n == rewritten && known && !d.local {
		n = changed
	}
	l.heard(n)
}

// heard wakes the loop if there is news. The watches of definitions call it, and it does not block.
func (l *loop) heard(n news) {
	if n == rewritten {
		return
	}
	l.mu.Lock()
	l.news = max(l.news, n)
	l.mu.Unlock()
	l.trigger.Wake()
}

// take returns the most urgent news since the last call.
func (l *loop) take() news {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.news
	l.news = rewritten
	return n
}

// serves tells whether the last answer contained the resource that a CustomResourceDefinition defines.
func (l *loop) serves(name string) bool {
	plural, group, _ := strings.Cut(name, ".")
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.named[schema.GroupResource{Group: group, Resource: plural}]
}

// discover asks once, tells the caller of Run what has changed, and returns the time until the next discovery.
func (l *loop) discover(ctx context.Context) time.Duration {
	ev := l.evidence()
	began := time.Now()
	a := l.d.ask(ctx)
	if ctx.Err() != nil {
		return l.d.opts.Interval // the loop ends
	}
	now := time.Now()
	c := l.state.step(a, ev, now)
	l.publish(a, c, now, now.Sub(began))
	if a.err == nil {
		l.mu.Lock()
		l.named = a.named
		l.mu.Unlock()
	}
	anything := l.differs(c)
	l.pace.answered(anything, now)
	if anything {
		l.log(c)
		l.told = &c
		l.apply(c.clone())
	}
	l.forget(ev, c)
	return l.next(a, c, ev)
}

// ask makes one discovery, bounded in time.
func (d *Discovery) ask(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	return newAnswer(clientdiscovery.ServerGroupsAndResourcesWithContext(ctx, d.disco))
}

func (l *loop) evidence() evidence {
	var ev evidence
	if l.crds != nil {
		ev.crds, ev.crdsDeleted = l.crds.copies()
		ev.services, ev.servicesDeleted = l.services.copies()
	}
	return ev
}

// forget drops the deletions of definitions without a wanted type, once every group has answered.
func (l *loop) forget(ev evidence, c Change) {
	if l.crds == nil || !c.Complete {
		return
	}
	crds, services := maps.Clone(ev.crdsDeleted), maps.Clone(ev.servicesDeleted)
	for _, t := range c.Types {
		delete(crds, crdName(t))
		delete(services, serviceName(t))
	}
	l.crds.forget(crds)
	l.services.forget(services)
}

// next returns the time until the next discovery.
func (l *loop) next(a answer, c Change, ev evidence) time.Duration {
	wait := l.d.opts.Interval
	if c.Complete {
		l.backoff = 0
	} else {
		// An aggregated API without its server fails for ever, and every discovery costs some 100 KiB.
		l.backoff = min(max(2*l.backoff, l.d.opts.RetryInterval), l.d.opts.Interval)
		wait = l.backoff
	}
	if l.repeated < len(repeats) && !agrees(a, ev) {
		wait = min(wait, repeats[l.repeated])
		l.repeated++
	}
	if due := l.pace.due; !due.IsZero() {
		wait = min(wait, max(time.Until(due), 0))
	}
	return wait
}

// agrees tells whether an answer serves all defined types and no deleted one.
func agrees(a answer, ev evidence) bool {
	if a.err != nil {
		return false
	}
	for name := range ev.crds {
		plural, group, _ := strings.Cut(name, ".")
		if !a.named[schema.GroupResource{Group: group, Resource: plural}] {
			return false
		}
	}
	for _, t := range a.served {
		if ev.deleted(t) {
			return false
		}
	}
	return true
}

// differs tells whether c differs from the last Change.
func (l *loop) differs(c Change) bool {
	return l.told == nil || len(c.Removed) > 0 || len(c.Migrated) > 0 || c.Complete != l.told.Complete ||
		!slices.Equal(c.Types, l.told.Types) || !slices.Equal(c.Unknown, l.told.Unknown) ||
		!slices.Equal(slices.Sorted(maps.Keys(c.Failed)), slices.Sorted(maps.Keys(l.told.Failed)))
}

// log logs the differences between c and the last Change.
func (l *loop) log(c Change) {
	log := l.d.opts.Log
	before := Change{}
	if l.told != nil {
		before = *l.told
		log.Info("Resources to be watched have changed", "types", len(c.Types), "before", len(before.Types))
	} else {
		log.Info("Resources to be watched are known", "types", len(c.Types))
	}
	for _, t := range c.Removed {
		log.Info("Resource is gone", "resource", t.String())
	}
	for _, m := range c.Migrated {
		log.Info("Resource is served under another name", "resource", m.New.String(), "before", m.Old.String())
	}
	for gv, err := range c.Failed {
		if before.Failed[gv] == nil {
			log.Info("API group cannot be discovered, its known resources are kept", "groupVersion", gv, "err", err.Error())
		}
	}
	for gv := range before.Failed {
		if c.Failed[gv] == nil {
			log.Info("API group can be discovered again", "groupVersion", gv)
		}
	}
	if len(c.Unknown) > 0 && !slices.Equal(c.Unknown, before.Unknown) {
		log.Info("Patterns of the resource filter name nothing that is served", "patterns", c.Unknown)
	}
}

// publish updates status and metrics.
func (l *loop) publish(a answer, c Change, now time.Time, took time.Duration) {
	m := l.d.metrics
	failed := make([]FailedGroup, 0, len(c.Failed))
	for _, gv := range slices.Sorted(maps.Keys(c.Failed)) {
		if l.since[gv].IsZero() {
			l.since[gv] = now
		}
		failed = append(failed, FailedGroup{GroupVersion: gv, Err: c.Failed[gv], Since: l.since[gv]})
	}
	maps.DeleteFunc(l.since, func(gv string, _ time.Time) bool { return c.Failed[gv] == nil })

	l.d.mu.Lock()
	s := &l.d.status
	s.Types, s.Failed, s.LastAttempt = slices.Clone(c.Types), failed, now
	s.Watching = l.crds != nil && l.crds.isWatching() && l.services.isWatching()
	if a.err == nil {
		s.Missing = l.state.missing()
	}
	s.ShortNames = l.state.shorts
	if c.Complete {
		s.LastComplete, s.Unknown = now, slices.Clone(c.Unknown)
	}
	missing, unknown := len(s.Missing), len(s.Unknown)
	l.d.mu.Unlock()

	m.duration.Observe(took.Seconds())
	m.types.Set(float64(len(c.Types)))
	m.missing.Set(float64(missing))
	m.failed.Set(float64(len(c.Failed)))
	m.unknown.Set(float64(unknown))
	switch {
	case c.Complete:
		m.complete.Set(float64(now.Unix()))
		m.runs.WithLabelValues(outcomeComplete).Inc()
	case a.err == nil:
		m.runs.WithLabelValues(outcomePartial).Inc()
	default:
		m.runs.WithLabelValues(outcomeFailed).Inc()
	}
}

// clone returns a copy that shares no mutable value with c.
func (c Change) clone() Change {
	c.Types, c.Removed = slices.Clone(c.Types), slices.Clone(c.Removed)
	c.Migrated, c.Unknown = slices.Clone(c.Migrated), slices.Clone(c.Unknown)
	c.Failed = maps.Clone(c.Failed)
	return c
}
