package deletions

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Pager reads a type from the API server; [watch.Lister] is one.
type Pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
	Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error
}

// Checkpoints are those of all members; [checkpoint.Store] has them.
type Checkpoints interface {
	Before() (all checkpoint.Past, ours map[string][]uint64)
	Refresh(ctx context.Context) error
}

// Receiver is the receiver whose documents may belong to objects that are gone.
type Receiver struct {
	// Wants tells whether the receiver selects objects like this one, Sees whether it selected one in that state.
	Wants func(t resource.Type, namespace, name string) bool
	Sees  func(r resource.Record) bool
	// Delete tells it of a deletion, unless the object is there; see [repair.Deleter.Delete].
	Delete func(t resource.Type, namespace, name string, after, at uint64) bool
}

// Types are the types that exist, beside those of the index.
type Types struct {
	// Served returns the types that are served and wanted; ok is false while that is not known for sure.
	Served func() (types []resource.Type, ok bool)
	// Selected tells whether a type would be wanted if it were served.
	Selected func(t resource.Type) bool
}

// Options are what a [Finder] is made of.
type Options struct {
	Pager       Pager
	Index       *index.Index
	Ledger      *checkpoint.Ledger
	Checkpoints Checkpoints
	Previous    *previous.Inventory // nil: none
	// Members are those of the ring at present.
	Members  func() []ownership.MemberStatus
	Receiver Receiver
	Types    Types
	Metrics  *repair.Metrics
	Log      logr.Logger
}

// Finder finds missed deletions. Create it with [New].
type Finder struct {
	opts  Options
	slots chan struct{} // one for each list of the past

	// mu guards the fields below. Code that holds it calls only the index and the ledger.
	mu        sync.Mutex
	past      past
	searches  map[resource.Type]*search
	consulted map[string]string // who was there when checkpoints were last read for a gap
	restored  bool              // the inventory is of a time that was lost
	findings  findings
}

// past is what checkpoints said before us.
type past struct {
	checkpoint.Past

	begun      bool
	ours       map[string][]uint64 // of Versions those that our own checkpoints spoke of
	incumbents map[string]string   // processes by member
	// heardOut tells that all incumbents are gone, and Versions has their last checkpoints; or there were none.
	heardOut bool
}

const (
	// patience bounds the wait for an incumbent. Its checkpoint comes with the next change or bookmark of the
	// type, of which there is one a minute; history lasts about five.
	patience = 4 * time.Minute
	// searchPause is the wait before a search that failed is tried again.
	searchPause = 10 * time.Second
	// lookers is how many types are searched side by side. Most of them wait, for a second, for the API server to
	// report that nothing has happened.
	lookers = 32
	// searchers is how many lists of the past are read side by side. Each costs the API server some tens of
	// milliseconds, and only a few of these keep it busy.
	searchers = 4
)

// New returns a finder that has searched nothing.
func New(opts Options) *Finder {
	return &Finder{
		opts: opts, slots: make(chan struct{}, searchers), searches: make(map[resource.Type]*search),
		findings: findings{metrics: opts.Metrics, held: make(map[resource.Type]repair.Held), unknown: make(map[resource.Type]bool)},
	}
}

// begin takes what earlier checkpoints said. The caller has read everything that they said, and holds mu.
func (f *Finder) begin() {
	if f.past.begun {
		return
	}
	f.past.begun = true
	f.past.Past, f.past.ours = f.opts.Checkpoints.Before()
	f.past.Versions = maps.Clone(f.past.Versions)
	f.past.incumbents = make(map[string]string)
	here := f.present()
	for member, incarnation := range f.past.Incarnations {
		if process := ownership.Process(incarnation); here.has(member, process) {
			f.past.incumbents[member] = process
		}
	}
}

// enter returns the search of a type, nil if it has not been listed. The caller holds mu.
func (f *Finder) enter(t resource.Type, now time.Time) *search {
	stats, s := f.opts.Index.Type(t), f.searches[t]
	if s != nil || !stats.Listed {
		return s
	}
	name := t.String()
	s = &search{begun: now, listed: stats.Version, versions: f.past.Of(name), seen: position{stats.Since, stats.Version}}
	s.gap = first(s.versions, stats, now)
	f.searches[t] = s
	if len(s.versions) == 0 && !f.past.OpaqueOf(name) && !f.opts.Previous.Knows(t) {
		s.state = Answered // Nothing was ever sent of it.
	}
	return s
}

// Step searches the types that can be searched. Before the first step, the caller has read everything once.
func (f *Finder) Step(ctx context.Context, now time.Time) {
	f.mu.Lock()
	f.begin()
	here, accompanied := f.present(), false
	for member, process := range f.past.incumbents {
		accompanied = accompanied || here.has(member, process)
	}
	heardOut := f.past.heardOut
	f.mu.Unlock()
	if !accompanied && !heardOut && !f.hearOut(ctx) {
		return
	}
	if f.opts.Previous.IsOfALostTime(now) {
		f.consultAgain(now)
	}
	var searches errgroup.Group
	searches.SetLimit(lookers)
	for _, t := range f.opts.Index.Types() {
		if s := f.unfinished(t, now); s != nil {
			searches.Go(func() error {
				if ctx.Err() == nil {
					f.advance(ctx, inquiry{t: t, search: s, accompanied: accompanied, now: now})
				}
				return nil
			})
		}
	}
	_ = searches.Wait() // None returns an error.
	f.lookForGone()
	f.closeGaps(ctx, now)
}

// hearOut takes the last reports of incumbents into account, now that they are gone. Their first checkpoints do
// not cover objects that they had seen since our start, and that were deleted when they could no longer see it.
// hearOut tells whether that is done.
func (f *Finder) hearOut(ctx context.Context) bool {
	incumbents := f.past.incumbents // set once, before
	if len(incumbents) > 0 {
		// The watch may not have brought their last checkpoints.
		if err := f.opts.Checkpoints.Refresh(ctx); err != nil {
			return false
		}
	}
	last := f.opts.Ledger.Past(func(member, incarnation string) bool {
		return incumbents[member] != "" && incumbents[member] == ownership.Process(incarnation)
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
	for t, s := range f.searches {
		s.versions = f.past.Of(t.String())
	}
	f.past.heardOut = true
	return true
}

// unfinished returns the search of a type, nil where nothing has to be searched: nearly always, for nearly all
// types.
func (f *Finder) unfinished(t resource.Type, now time.Time) *search {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.enter(t, now); s != nil && s.state == Pending {
		return s
	}
	return nil
}

// Settled tells whether the search of a type is complete.
func (f *Finder) Settled(t resource.Type) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.searches[t]
	return s != nil && s.state.Done()
}

// Inspect returns for people how far the search of a type has come, and what our watch of it has not seen; known
// is false before the search has begun.
func (f *Finder) Inspect(t resource.Type) (state State, gap Gap, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.searches[t]
	if s == nil {
		return Pending, Gap{}, false
	}
	return s.state, s.gap, true
}
