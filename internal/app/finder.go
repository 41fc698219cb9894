package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// pager reads a type from the API server; [watch.Lister] is one.
type pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
	Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error
}

// checkpoints are those of all members; [checkpoint.Store] has them.
type checkpoints interface {
	Before() (all checkpoint.Past, ours map[string][]uint64)
	Refresh(ctx context.Context) error
}

// finding is how far the search for the missed deletions of one type has come:
//
//	          an incumbent says that all is delivered
//	pending ──────────────────────────────────────────▶ answered
//	   │      the API server's history tells each
//	   ├──────────────────────────────────────────────▶ replayed
//	   │      lists of the past, or the inventory, lack nothing more
//	   ├──────────────────────────────────────────────▶ compared ◀─╮
//	   │      the inventory lacks more than the guard allows       │ a person's word
//	   ├──────────────────────────────────────────────▶ held ──────╯
//	   │      nothing can tell
//	   ╰──────────────────────────────────────────────▶ unknown
type finding uint8

const (
	pending finding = iota
	answered
	replayed
	compared
	held
	unknown
)

// String returns the state in lower case.
func (f finding) String() string {
	return [...]string{"pending", "answered", "replayed", "compared", "held", "unknown"}[f]
}

func (f finding) done() bool { return f != pending && f != held }

// look is what is known of the missed deletions of one type.
type look struct {
	state    finding
	begun    time.Time
	retry    time.Time
	listed   uint64          // the version of our list, or a little more: deletions up to here are looked for
	versions []uint64        // those of checkpoints, ascending: the receiver had what the API server had then
	asked    map[uint64]bool // at which versions the past is known
	expired  bool            // the API server does not remember the past
	gone     bool            // the type is served no longer
	gap      *gap
	seen     position // when we looked at our watch last
}

// position is how far our watch had come, and since which list.
type position struct{ since, version uint64 }

// gap is a time of which our watch has seen only the outcome: the API server did not remember what had
// happened, as after its own restart. What came before our first list is one, too. Of what was created and
// deleted in it we know nothing. A peer may have seen the one, and have delivered it, and be gone before the
// other: what existed at the last version that its checkpoint speaks of, in the gap, tells.
type gap struct {
	after, since uint64
	begun, retry time.Time
}

// finder finds, for one target, the objects that were deleted while no member watched. Each type is looked at
// once, when it has been listed, by a chain of evidence, of which the first that can tell decides:
//
//  1. peers: an incumbent, which was there before us, in the process that wrote its checkpoint, keeps a
//     tombstone for every deletion ([deletions]). When it says that all is delivered up to our list, there is
//     nothing to look for. As long as one is there, we wait for that.
//  2. history: the API server tells the deletions since everything was acknowledged. etcd keeps about five minutes.
//  3. exact lists: what the API server held at the versions of checkpoints, and does not hold now, was
//     deleted. That misses what was created, delivered and deleted in between.
//  4. the inventory of our earlier life, within the guard.
//
// Where none can tell, the receiver is asked for its own list ([orphanFinder]); where that cannot be done either,
// the type is said to be unknown. Until a type is done, our checkpoints say of deletions only what was true
// before.
type finder struct {
	pager  pager
	index  *index.Index
	ledger *checkpoint.Ledger
	store  checkpoints
	wants  func(t resource.Type, namespace, name string) bool
	// Tells whether the receiver was to have an object in that state.
	saw     func(r resource.Record) bool
	missing func(t resource.Type, namespace, name string, after, at uint64) bool // tells of a deletion
	// served are the types that are served and wanted; ok is false while that is not known for sure. selected
	// tells whether one would be wanted, were it served.
	served   func() (types []resource.Type, ok bool)
	selected func(t resource.Type) bool
	leases   func() []ownership.MemberStatus
	memory   *memory
	metrics  *searchMetrics
	log      logr.Logger
	slots    chan struct{} // one for each list of the past

	mu         sync.Mutex // guards what follows; what is called with it held calls nobody but the index and the ledger
	begun      bool
	past       checkpoint.Past
	ours       map[string][]uint64 // of past.Versions those that our own checkpoints spoke of
	incumbents map[string]string   // processes by member
	consulted  map[string]string   // who was there when checkpoints were last read for a gap
	restored   bool                // the inventory is of a time that was lost
	// All incumbents are gone, and what they said last is in past; there may have been none.
	heardOut bool
	looks    map[resource.Type]*look
	found    int
	untold   []string                  // types that became unknown since the last report
	held     map[resource.Type]waiting // of which too many objects are missing
	unknown  map[resource.Type]bool    // of which nothing has told yet
}

const (
	// patience bounds the wait for an incumbent. Its checkpoint comes with the next change or bookmark of the
	// type, of which there is one a minute; history lasts about five.
	patience = 4 * time.Minute
	// searchPause is the wait before a search that failed is tried again.
	searchPause = 10 * time.Second
	// lookers is how many types are looked at side by side. Most of them wait, for a second, for the API
	// server's word that nothing has happened.
	lookers = 32
	// searchers is how many lists of the past are taken side by side: one takes the API server some tens of
	// milliseconds, of which it uses a few.
	searchers = 4
)

func newFinder(t *target, p parts) *finder {
	return &finder{
		pager: p.lister, memory: p.memory, metrics: newSearchMetrics(t.metrics), index: t.index, ledger: t.ledger, store: t.store, wants: t.wants, missing: t.missing,
		saw:    func(r resource.Record) bool { _, seen := t.projection.Of(r); return seen },
		leases: func() []ownership.MemberStatus { return t.member.View().Members },
		served: p.sure, selected: p.cfg.Types.Match,
		log: t.log, slots: make(chan struct{}, searchers), looks: make(map[resource.Type]*look), held: make(map[resource.Type]waiting),
		unknown: make(map[resource.Type]bool),
	}
}

// begin takes what checkpoints said before us. Everything they said must have been read. The caller holds mu.
func (f *finder) begin() {
	if f.begun {
		return
	}
	f.begun = true
	f.past, f.ours = f.store.Before()
	f.past.Versions = maps.Clone(f.past.Versions)
	f.incumbents = make(map[string]string)
	here := f.present()
	for member, incarnation := range f.past.Incarnations {
		if process := ownership.Process(incarnation); here.has(member, process) {
			f.incumbents[member] = process
		}
	}
}

// enter returns what is known of a type, nil if it has not been listed. The caller holds mu.
func (f *finder) enter(t resource.Type, now time.Time) *look {
	stats, l := f.index.Type(t), f.looks[t]
	if l != nil || !stats.Listed {
		return l
	}
	name := t.String()
	l = &look{begun: now, listed: stats.Version, versions: f.past.Of(name), seen: position{stats.Since, stats.Version}}
	f.looks[t] = l
	switch {
	case len(l.versions) > 0:
		l.gap = &gap{after: l.versions[0], since: stats.Since, begun: now}
	case stats.Before > 0: // Our watch has begun anew already, perhaps more than once.
		l.gap = &gap{after: stats.First, since: stats.Since, begun: now}
	}
	if len(l.versions) == 0 && !f.past.OpaqueOf(name) && !f.memory.has(t) {
		l.state = answered // Nothing was ever sent of it.
	}
	return l
}

// step looks at the types that can be looked at. Everything must have been read once before the first step.
func (f *finder) step(ctx context.Context, now time.Time) {
	f.mu.Lock()
	f.begin()
	here, accompanied := f.present(), false
	for member, process := range f.incumbents {
		accompanied = accompanied || here.has(member, process)
	}
	heardOut := f.heardOut
	f.mu.Unlock()
	if !accompanied && !heardOut && !f.hearOut(ctx) {
		return
	}
	if f.memory.ofALostTime(now) {
		f.consultAgain(now)
	}
	var looks errgroup.Group
	looks.SetLimit(lookers)
	for _, t := range f.index.Types() {
		if f.isDone(t, now) {
			continue
		}
		looks.Go(func() error {
			if ctx.Err() == nil {
				f.advance(ctx, t, accompanied, now)
			}
			return nil
		})
	}
	_ = looks.Wait() // None returns an error.
	f.lookForGone()
	f.closeGaps(ctx, now)
}

// hearOut takes account of what incumbents said last, now that they are gone: what they had seen since our
// start, and was deleted when they could not see it any more, their first checkpoints do not show. It tells
// whether that is done.
func (f *finder) hearOut(ctx context.Context) bool {
	if len(f.incumbents) > 0 { // set once, before
		if err := f.store.Refresh(ctx); err != nil { // The watch may not have brought their last checkpoints.
			return false
		}
	}
	last := f.ledger.Past(func(member, incarnation string) bool {
		return f.incumbents[member] != "" && f.incumbents[member] == ownership.Process(incarnation)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, versions := range last.Versions {
		if before := f.past.Versions[name]; len(before) > 0 {
			versions = slices.DeleteFunc(versions, func(v uint64) bool { return v < before[0] })
			versions = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, versions))))
		}
		f.past.Versions[name] = versions
	}
	for t, l := range f.looks {
		l.versions = f.past.Of(t.String())
	}
	f.heardOut = true
	return true
}

// isDone tells whether there is nothing to look for in a type: of nearly all, nearly always.
func (f *finder) isDone(t resource.Type, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.enter(t, now)
	return l == nil || l.state != pending
}

// advance looks at one type.
func (f *finder) advance(ctx context.Context, t resource.Type, accompanied bool, now time.Time) {
	f.mu.Lock()
	l := f.enter(t, now)
	if l == nil || l.state != pending {
		f.mu.Unlock()
		return
	}
	if f.told(t, l, accompanied) {
		l.state = answered
		f.mu.Unlock()
		return
	}
	wait := accompanied && !f.restored && now.Sub(l.begun) < patience || now.Before(l.retry)
	versions, expired := l.versions, l.expired || len(l.versions) == 0
	f.mu.Unlock()
	if wait || !expired && (f.replay(ctx, t, l, versions) || f.compare(ctx, t, l, versions, now)) {
		return
	}
	f.consult(t, l, now)
}

// told tells whether the peers know that there is nothing to look for in a type. Who began when we did counts
// only where we remember nothing ourselves: it may have found that nothing can tell. The caller holds mu.
func (f *finder) told(t resource.Type, l *look, accompanied bool) bool {
	if f.past.OpaqueOf(t.String()) && len(l.versions) == 0 {
		return accompanied
	}
	if f.memory.has(t) && len(f.incumbents) == 0 {
		return false
	}
	return f.ledger.Bound(t.String()) >= l.listed
}

// replay asks the API server for the deletions of a type since everything was acknowledged, and tells whether it
// remembers them all.
func (f *finder) replay(ctx context.Context, t resource.Type, l *look, versions []uint64) bool {
	// Up to our last list, which is later than the first one if the watch has begun anew.
	n, until := 0, max(l.listed, f.index.Type(t).Since)
	err := f.pager.Deletions(ctx, t, versions[0], until, func(d watch.Deletion) {
		gone := d.Now == nil || !f.saw(*d.Now)
		if gone && f.wants(t, d.Namespace, d.Name) && f.missing(t, d.Namespace, d.Name, max(d.Version, 1)-1, d.Version) {
			n++
		}
	})
	f.count(fromHistory, n)
	if err != nil {
		f.log.V(1).Info("The API server does not remember all deletions; comparing with what it held", "resource", t.String(), "reason", err.Error())
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l.state = replayed
	for _, version := range versions {
		if version <= until {
			l.note(version)
		}
	}
	return true
}

// compare looks at what the API server held at a type's versions, and tells whether it remembers them, or is
// to be asked again. Of those whose history is gone the latest decides: the earlier ones hold nothing that it
// has not, but what members have acknowledged beyond it.
func (f *finder) compare(ctx context.Context, t resource.Type, l *look, versions []uint64, now time.Time) bool {
	f.slots <- struct{}{}
	defer func() { <-f.slots }()
	// What was there at a later version is told: nearer to its deletion than by an earlier one.
	told := make(map[[2]string]bool)
	for _, version := range slices.Backward(versions) {
		err := f.compareAt(ctx, t, version, told)
		switch {
		case errors.Is(err, watch.ErrExpired):
			return false
		case err != nil:
			if ctx.Err() == nil {
				f.log.Error(err, "Objects deleted while nobody watched could not be looked for; trying again", "resource", t.String())
			}
			f.mu.Lock()
			l.retry = now.Add(searchPause)
			f.mu.Unlock()
			return true
		}
	}
	f.mu.Lock()
	l.state = compared
	f.mu.Unlock()
	return true
}

// compareAt deletes what the API server held at one version and does not hold now.
func (f *finder) compareAt(ctx context.Context, t resource.Type, version uint64, told map[[2]string]bool) error {
	now := f.index.Type(t)
	if !now.Listed || version == 0 || version >= now.Version {
		return nil
	}
	n := 0
	_, err := f.pager.Pages(ctx, t, watch.ListOptions{Exact: version}, func(rs []resource.Record) error {
		for _, r := range rs {
			object := [2]string{r.Namespace, r.Name}
			if !told[object] && f.wants(t, r.Namespace, r.Name) && f.saw(r) && f.missing(t, r.Namespace, r.Name, version, max(now.Since, version+1)) {
				told[object] = true
				n++
			}
		}
		return nil
	})
	f.count(fromExact, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.looks[t]; l != nil && (err == nil || errors.Is(err, watch.ErrExpired)) {
		l.note(version)
	}
	if err != nil {
		return fmt.Errorf("listing %s at version %d: %w", t, version, err)
	}
	return nil
}

// note notes that a version has been asked about. The caller holds finder.mu.
func (l *look) note(version uint64) {
	if l.asked == nil {
		l.asked = make(map[uint64]bool)
	}
	l.asked[version] = true
}

func (f *finder) count(source string, n int) {
	f.metrics.found.WithLabelValues(source).Add(float64(n))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found += n
}

// setUnknown says that nothing can tell of a type. The caller holds mu.
func (f *finder) setUnknown(t resource.Type) {
	f.unknown[t] = true
	f.untold = append(f.untold, t.String())
	f.report()
}

// report is called with mu held.
func (f *finder) report() {
	f.metrics.unknown.set("search", len(f.unknown)+len(f.held))
	f.metrics.held.set("search", documents(f.held))
}

// news returns what was found since the last call, and the types of which nothing can be said since then.
func (f *finder) news() (found int, unknown []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, f.found = f.found, 0
	unknown, f.untold = f.untold, nil
	return found, unknown
}

// coverage returns, by the names of the types, how far each has been seen, for our next checkpoint, and at
// which versions deletions are still to be looked for. It may be asked for once everything that checkpoints
// said has been read.
func (f *finder) coverage() map[string]checkpoint.Seen {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin()
	seen := make(map[string]checkpoint.Seen)
	divided := f.divided()
	for name, versions := range f.past.Versions {
		if divided(name) { // What is known of it is said of what is watched in its place.
			continue
		}
		seen[name] = checkpoint.Seen{Deleted: versions[0], Earlier: f.ours[name]}
	}
	for _, t := range slices.AppendSeq(f.index.Types(), maps.Keys(f.looks)) {
		name, stats, l := t.String(), f.index.Type(t), f.enter(t, now)
		if l == nil || !stats.Listed {
			if l != nil && l.state.done() && stats == (index.Stats{}) { // Its end was watched, or has been looked into.
				delete(seen, name)
			}
			continue
		}
		s := checkpoint.Seen{Version: stats.Version, Event: stats.Event, Opaque: stats.Version == 0}
		if !l.state.done() {
			s.Deleted, s.Earlier = 1, f.ours[name] // 1: nothing is known of before.
			if len(l.versions) > 0 {
				s.Deleted = l.versions[0]
			}
		}
		if g := f.gapOf(t, l, now); g != nil && g.after > 0 && (s.Deleted == 0 || g.after < s.Deleted) {
			s.Deleted = g.after
		}
		seen[name] = s
	}
	return seen
}

// divided returns what tells of a name whether the type is watched in the other division: a whole
// one by slices, or a slice as the whole. The caller holds mu.
func (f *finder) divided() func(name string) bool {
	whole, sliced := make(map[string]bool), make(map[string]bool)
	for _, t := range f.index.Types() {
		if f.looks[t] == nil {
			continue
		}
		into := whole
		if t.Within != "" {
			into = sliced
		}
		into[t.Whole().String()] = true
	}
	return func(name string) bool {
		of, within := resource.WholeName(name)
		return within == "" && sliced[of] || within != "" && whole[of]
	}
}

// again says of a type's deletions no more than before they were looked for.
func (f *finder) again(name string, s checkpoint.Seen) checkpoint.Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Deleted, s.Earlier = 1, f.ours[name]
	if before := f.past.Of(name); len(before) > 0 {
		s.Deleted = before[0]
	}
	return s
}
