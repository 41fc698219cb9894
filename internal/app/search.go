package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
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

// search finds, for one target, the objects that were deleted while nobody watched. A checkpoint says up to which
// version the receiver was in step. The API server is asked for the deletions since; where it does not remember all of
// them, as after its own restart, what it held then and does not hold now was deleted. That misses what was created,
// delivered and deleted in between. etcd keeps about five minutes of history; what went before that only the inventory can
// tell, where there is one.
//
// Each type is looked at once, when it has been listed. Where somebody has watched all the time there is nothing to look
// for: a member that was here before us, in the process that wrote its checkpoint, knows of every deletion, and sends
// it or says by its checkpoints that it is sent. We wait for that word instead of asking the API server, and search if
// that member goes before it has given it, by what it said last. Until a type is done, our checkpoints repeat for it what
// was true before.
type search struct {
	pager   pager
	index   *index.Index
	book    *checkpoint.Book
	store   checkpoints
	wants   func(t resource.Type, namespace, name string) bool
	missing func(t resource.Type, namespace, name string, after, at uint64) bool // tells of a deletion
	// served are the types that are served and wanted; ok is false while that is not known for sure. selected tells whether
	// one would be wanted, were it served.
	served   func() (types []resource.Type, ok bool)
	selected func(t resource.Type) bool
	leases   func() []ownership.MemberStatus
	memory   *memory
	metrics  *searchMetrics
	log      logr.Logger

	slots     chan struct{} // one for each list of the past
	past      checkpoint.Past
	earlier   map[string][]uint64 // of past.Versions those that our own checkpoints spoke of
	witnesses map[string]string   // processes by member: those who were here before us
	heardFrom map[string]string   // who was there when checkpoints were last read for a gap
	begun     bool
	heardOut  bool // all witnesses are gone, and what they said last is in past; there may have been none

	mu      sync.Mutex // guards what follows
	types   map[resource.Type]*searched
	watched map[resource.Type]watched // when we looked at our gaps last
	gaps    map[resource.Type]*gap
	found   int
	unknown map[resource.Type]bool    // of which nothing can be said
	untold  []string                  // of those, what was not reported
	held    map[resource.Type]waiting // of which too many objects are missing
}

// searched is how far the search in one type is.
type searched struct {
	listed   uint64 // the version of our list, or a little more
	since    time.Time
	retry    time.Time
	done     bool
	answered bool // by somebody's word, without a search
	expired  bool // the API server's history does not go back so far
	held     bool // more is missing than may be deleted without a person's word
	gone     bool // the type was served no longer
	exact    bool // what there was has been compared with what there is
	replayed bool // the API server has told every deletion between versions[0] and our list at first
	first    uint64
	versions []uint64
	asked    map[uint64]bool // of which versions it is known what was there and is not any more, as far as it can be
}

const (
	// patience bounds the wait for a witness's word. It comes with the next change or bookmark of the type, of which
	// there is one a minute; history lasts about five.
	patience = 4 * time.Minute
	// searchPause is the wait before a search that failed is tried again.
	searchPause = 10 * time.Second
)

func newSearch(t *target, p parts) *search {
	return &search{
		pager: p.lister, memory: p.memory, metrics: newSearchMetrics(t.metrics), index: t.index, book: t.book, store: t.store, wants: t.wants, missing: t.missing,
		leases: func() []ownership.MemberStatus { return t.member.View().Members },
		served: p.sure, selected: p.cfg.Types.Match,
		log: t.log, types: make(map[resource.Type]*searched), slots: make(chan struct{}, searchers),
		watched: make(map[resource.Type]watched), gaps: make(map[resource.Type]*gap),
		unknown: make(map[resource.Type]bool), held: make(map[resource.Type]waiting),
	}
}

// begin takes what checkpoints said before us. Everything they said must have been read.
func (s *search) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.past, s.earlier = s.store.Before()
	s.witnesses = make(map[string]string)
	here := s.present()
	for member, incarnation := range s.past.Incarnations {
		if process := ownership.Process(incarnation); here.has(member, process) {
			s.witnesses[member] = process
		}
	}
}

// enter returns what is known of the search in a type, nil if it has not been listed. The caller holds mu.
func (s *search) enter(t resource.Type, now time.Time) *searched {
	e := s.types[t]
	if stats := s.index.Type(t); e == nil && stats.Listed {
		e = &searched{listed: stats.Version, since: now, versions: s.past.Versions[t.String()]}
		s.types[t] = e
		switch {
		case len(e.versions) > 0:
			s.gaps[t] = newGap(e.versions[0], stats.Since, now)
		case stats.Before > 0: // Our watch has begun anew already, perhaps more than once.
			s.gaps[t] = newGap(stats.First, stats.Since, now)
		}
		s.watched[t] = watched{since: stats.Since, version: stats.Version}
	}
	return e
}

// giveUp begins without looking, as whoever ends before the first step: our last checkpoint then says how far we have come,
// and repeats of deletions what was true before.
func (s *search) giveUp(now time.Time) {
	s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.index.Types() {
		s.enter(t, now)
	}
}

// step looks at the types that can be looked at. Everything must have been read once before the first step.
func (s *search) step(ctx context.Context, now time.Time) {
	s.begin()
	here, witnessed := s.present(), false
	for member, process := range s.witnesses {
		witnessed = witnessed || here.has(member, process)
	}
	if !witnessed && !s.hearOut(ctx) {
		return
	}
	var looks errgroup.Group
	looks.SetLimit(lookers)
	for _, t := range s.index.Types() {
		looks.Go(func() error {
			if ctx.Err() == nil {
				s.look(ctx, t, witnessed, now)
			}
			return nil
		})
	}
	_ = looks.Wait() // None returns an error.
	s.lookForGone()
	s.mind(ctx, now)
}

const (
	// lookers is how many types are looked at side by side. Most of them wait, for a second, for the API server's word that
	// nothing has happened.
	lookers = 32
	// searchers is how many lists of the past are taken side by side: one takes the API server some tens of milliseconds, of
	// which it uses a few.
	searchers = 4
)

// hearOut takes account of what witnesses said last, now that they are gone: what they had seen since our start, and was
// deleted when they could not see it any more, their first words do not show. It tells whether that is done.
func (s *search) hearOut(ctx context.Context) bool {
	if s.heardOut || len(s.witnesses) == 0 {
		s.heardOut = true
		return true
	}
	if err := s.store.Refresh(ctx); err != nil { // The watch may not have brought their last words.
		return false
	}
	last := s.book.Past(func(member, incarnation string) bool {
		return s.witnesses[member] != "" && s.witnesses[member] == ownership.Process(incarnation)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, versions := range last.Versions {
		if before := s.past.Versions[name]; len(before) > 0 {
			versions = slices.DeleteFunc(versions, func(v uint64) bool { return v < before[0] })
			versions = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, versions))))
		}
		s.past.Versions[name] = versions
	}
	for t, e := range s.types {
		e.versions = s.past.Versions[t.String()]
	}
	s.heardOut = true
	return true
}

// presence says who is there at one moment.
type presence struct {
	self, process string
	others        map[string]string // processes by member
}

func (s *search) present() presence {
	p := presence{others: make(map[string]string)}
	for _, m := range s.leases() {
		switch process := ownership.Process(m.Lease.Incarnation); {
		case m.Self:
			p.self, p.process = m.Lease.Member, process
		case m.Lease.State == ownership.Live:
			p.others[m.Lease.Member] = process
		}
	}
	return p
}

// is tells whether a process of a member is ours; has, whether it is another's that is there.
func (p presence) is(member, process string) bool {
	return process != "" && p.self == member && p.process == process
}

func (p presence) has(member, process string) bool {
	return process != "" && p.others[member] == process
}

func (s *search) look(ctx context.Context, t resource.Type, witnessed bool, now time.Time) {
	s.mu.Lock()
	e := s.enter(t, now)
	if e == nil {
		s.mu.Unlock()
		return
	}
	if !e.done && s.told(t, e) {
		e.done, e.answered = true, true
	}
	done := e.done
	wait := e.held || witnessed && now.Sub(e.since) < patience || now.Before(e.retry)
	expired := e.expired || len(e.versions) == 0
	s.mu.Unlock()
	if done || wait {
		return
	}
	if expired || !s.remembered(ctx, t, e, now) {
		s.recall(t, e, now)
	}
}

// told tells whether there is nothing to look for in a type. A word of those who began when we did counts only where we
// remember nothing ourselves: they may have found that nobody can tell.
func (s *search) told(t resource.Type, e *searched) bool {
	if s.memory.has(t) && len(s.witnesses) == 0 {
		return false
	}
	return s.book.Bound(t.String()) >= e.listed || len(e.versions) == 0 && !s.memory.has(t)
}

// remembered looks at what the API server remembers of a type, and tells whether it remembers enough, or is to be asked
// again.
func (s *search) remembered(ctx context.Context, t resource.Type, e *searched, now time.Time) bool {
	if s.replay(ctx, t, e) {
		return true
	}
	s.slots <- struct{}{}
	found, expired, err := s.find(ctx, t, e.versions)
	<-s.slots
	s.metrics.found.WithLabelValues(fromExact).Add(float64(found))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found += found
	switch {
	case err != nil:
		if ctx.Err() == nil {
			s.log.Error(err, "Objects deleted while nobody watched could not be looked for; trying again", "resource", t.String())
		}
		e.retry = now.Add(searchPause)
	case !expired:
		e.done, e.exact = true, true
	}
	return err != nil || !expired
}

// replay asks the API server for the deletions of a type since everything was acknowledged, and tells whether it
// remembers them all.
func (s *search) replay(ctx context.Context, t resource.Type, e *searched) bool {
	found, first := 0, s.index.Type(t).Since // which is later than the list that we began with, if the watch has begun anew
	until := max(e.listed, first)
	err := s.pager.Deletions(ctx, t, e.versions[0], until, func(d watch.Deletion) {
		if s.wants(t, d.Namespace, d.Name) && s.missing(t, d.Namespace, d.Name, max(d.Version, 1)-1, d.Version) {
			found++
		}
	})
	s.metrics.found.WithLabelValues(fromHistory).Add(float64(found))
	if err != nil {
		s.log.V(1).Info("The API server does not remember all deletions; comparing with what it held", "resource", t.String(), "reason", err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found += found
	if err == nil {
		e.done, e.replayed, e.first = true, true, first
		for _, version := range e.versions {
			if version <= until {
				e.note(version)
			}
		}
	}
	return err == nil
}

// find looks at a type's versions. Of those whose history is gone the latest decides: the earlier ones hold nothing that
// it has not, but what members have acknowledged beyond it.
func (s *search) find(ctx context.Context, t resource.Type, versions []uint64) (found int, expired bool, err error) {
	told := make(map[[2]string]bool) // what was there at a later version is told: nearer to its deletion than by an earlier one
	for _, version := range slices.Backward(versions) {
		n, err := s.findAt(ctx, t, version, told)
		found += n
		switch {
		case errors.Is(err, watch.ErrExpired):
			return found, true, nil
		case err != nil:
			return found, false, err
		}
	}
	return found, false, nil
}

func (s *search) findAt(ctx context.Context, t resource.Type, version uint64, told map[[2]string]bool) (found int, err error) {
	now := s.index.Type(t)
	if !now.Listed || version == 0 || version >= now.Version {
		return 0, nil
	}
	_, err = s.pager.Pages(ctx, t, watch.ListOptions{Exact: version}, func(rs []resource.Record) error {
		for _, r := range rs {
			object := [2]string{r.Namespace, r.Name}
			if !told[object] && s.wants(t, r.Namespace, r.Name) && s.missing(t, r.Namespace, r.Name, version, max(now.Since, version+1)) {
				told[object] = true
				found++
			}
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.types[t]; e != nil && (err == nil || errors.Is(err, watch.ErrExpired)) {
		e.note(version)
	}
	if err != nil {
		return found, fmt.Errorf("listing %s at version %d: %w", t, version, err)
	}
	return found, nil
}

// note notes that a version has been asked about. The caller holds search.mu.
func (e *searched) note(version uint64) {
	if e.asked == nil {
		e.asked = make(map[uint64]bool)
	}
	e.asked[version] = true
}

// report returns what was found since the last report, and the types of which nothing can be said since then.
func (s *search) report() (found int, unknown []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, s.found = s.found, 0
	unknown, s.untold = s.untold, nil
	return found, unknown
}

// label is the version that a deletion is told at, of a type that nobody lists any more, of which only that is known that
// it came after some version: above all that members have said before, so that none of it covers the deletion.
func (s *search) label(t resource.Type, after uint64) uint64 {
	for _, version := range s.past.Versions[t.String()] {
		after = max(after, version)
	}
	return after + 1
}
