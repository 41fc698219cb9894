package verify

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Lister lists the states of a type's objects; [watch.Lister] is one.
type Lister interface {
	States(ctx context.Context, t resource.Type, page func(version uint64, states []watch.State) error) (uint64, error)
}

// Relister lists a type anew into the index; [watch.Manager] is one.
type Relister interface {
	Relist(ctx context.Context, t resource.Type) error
}

// Fleet is the set of members of the ring.
type Fleet interface {
	// Members returns the live members, with ourselves; none before we have joined.
	Members() []string
	// Assignee returns the member that lists a type of this name.
	Assignee(typeName string) string
}

// Teller tells our statement to the other members; [Store] is one.
type Teller interface {
	// Tell blocks for a request or two.
	Tell(ctx context.Context, s Statement) error
}

// Watched is a type whose watch is well.
type Watched struct {
	Type resource.Type
	// Listed is when its Reflector last handed a complete list to the index.
	Listed time.Time
}

// Options of a [Verifier]. Index to Teller are required.
type Options struct {
	// Member is our name.
	Member   string
	Index    Index
	Lister   Lister
	Relister Relister
	Fleet    Fleet
	Teller   Teller
	// Watched returns the types whose watches are well, sorted.
	Watched func() []Watched
	// Filter names the settings that decide which objects are in the index.
	Filter string
	// Interval is how often some member lists each type; 0 means that only runs cause lists.
	Interval time.Duration
	// Diverged is called for each type that is found to differ. It must not block. It may be nil.
	Diverged func(t resource.Type)
	// Tracer begins a span for each list; nil begins none.
	Tracer *tracing.Tracer
	// Log gets a message for each difference and each run.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

const (
	// tellEvery is the pace at which sums are told; lists, verdicts and runs are told within a second.
	tellEvery = 10 * time.Second
	// checkEvery is how often open claims are examined. The index remembers the sums of 2.5 s of a busy type.
	checkEvery = 200 * time.Millisecond
	// tick is the pace of all other work under way; restFor is how long an idle loop rests.
	tick    = time.Second
	restFor = 10 * time.Second
	// keepTold is how long lists and verdicts stay in our statement: long enough for all members to read them.
	keepTold = 2 * time.Minute
	// relistTimeout bounds one attempt to list a type anew; the Reflector goes on trying after it.
	relistTimeout = 5 * time.Minute
)

// Verifier compares an index with the cluster. Create it with [New].
type Verifier struct {
	opts    Options
	metrics *metrics
	wake    slots

	mu      sync.Mutex // guards the fields below
	began   time.Time
	types   map[resource.Type]*history
	looks   uint64 // calls of refresh
	byName  map[string]resource.Type
	others  map[string]Statement
	told    map[tellKey]told    // lists and verdicts in our statement
	runs    map[string]*running // runs of all members
	ended   []Run               // the last ended runs, newest first
	pending []job               // lists that runs want of us
	listing job                 // the list that is being made
	urgent  bool                // our statement is to be told soon
}

// tellKey names a list of ours, or a verdict.
type tellKey struct {
	run, typ string
	isList   bool
}

// told is a list or a verdict that stays in our statement for a while.
type told struct {
	list    List
	verdict Verdict
	since   time.Time
}

// job is a list that a run wants; without a run, a scheduled one.
type job struct {
	run string
	typ resource.Type
}

// New returns a verifier. It does nothing before Run.
func New(opts Options) *Verifier {
	v := &Verifier{
		opts: opts, wake: newSlots(), began: time.Now(), told: make(map[tellKey]told),
		types: make(map[resource.Type]*history), byName: make(map[string]resource.Type), others: make(map[string]Statement),
		runs: make(map[string]*running),
	}
	v.metrics = newMetrics(opts.Registerer, v.ages)
	return v
}

// Run verifies until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	v.mu.Lock()
	v.began = time.Now()
	v.mu.Unlock()
	var loops errgroup.Group // All loops end with ctx.
	for _, l := range []struct {
		slot chan struct{}
		step func(context.Context) time.Duration
	}{{v.wake.check, v.check}, {v.wake.repair, v.repair}, {v.wake.list, v.listDue}, {v.wake.tell, (&tellLoop{v: v}).step}} {
		loops.Go(func() error { loop(ctx, l.slot, l.step); return nil })
	}
	return loops.Wait() // No loop returns an error.
}

// loop calls step again and again until ctx ends. step returns how long to rest at most; the slot ends a rest
// early.
func loop(ctx context.Context, slot <-chan struct{}, step func(context.Context) time.Duration) {
	for {
		rest := time.NewTimer(step(ctx))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-slot:
			rest.Stop()
		case <-rest.C:
		}
	}
}

// slots wake the loops.
type slots struct{ check, repair, list, tell wake.Slot }

func newSlots() slots {
	return slots{wake.New(), wake.New(), wake.New(), wake.New()}
}

// Hear takes the statement of another member. ok is false if that member's ConfigMap was deleted.
func (v *Verifier) Hear(member string, s Statement, ok bool) {
	if member == v.opts.Member {
		return
	}
	now := time.Now()
	defer v.wake.check.Wake()
	if len(s.Lists) > 0 {
		v.refresh() // A list is told once, so its type must be known now.
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.others[member]
	if !ok {
		delete(v.others, member)
		return
	}
	v.others[member] = s
	if s.Filter != v.opts.Filter {
		return
	}
	for name, sum := range s.Sums {
		if t, known := v.byName[name]; known && before.Sums[name] != sum {
			v.history(t).take(claim{source: FromPeer, member: member, sum: sum, heard: now})
		}
	}
	for run, lists := range s.Lists {
		for name, l := range lists {
			if t, known := v.byName[name]; known && before.Lists[run][name] != l {
				v.hearList(t, member, run, l, now)
			}
		}
	}
}

// hearList takes another member's list of a type.
func (v *Verifier) hearList(t resource.Type, member, run string, l List, now time.Time) {
	if l.Err != "" {
		return
	}
	h := v.history(t)
	h.listed = now
	h.take(claim{source: FromList, member: member, run: run, sum: l.Sum, heard: now})
}

// history returns the history of a type. The caller holds mu.
func (v *Verifier) history(t resource.Type) *history {
	h := v.types[t]
	if h == nil {
		h = &history{name: t.String()}
		v.types[t] = h
	}
	return h
}

// refresh notes the watched types, and returns them. It forgets all others. For a new type, it takes the claims
// that the members made before: they do not repeat them.
func (v *Verifier) refresh() []Watched {
	watched, now := v.opts.Watched(), time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks++
	for _, w := range watched {
		known := v.types[w.Type] != nil
		h := v.history(w.Type)
		h.watched = v.looks
		v.byName[h.name] = w.Type
		if !known {
			v.recall(w.Type, h, now)
		}
	}
	for t, h := range v.types {
		if h.watched == v.looks {
			continue
		}
		delete(v.types, t)
		if v.byName[h.name] == t {
			delete(v.byName, h.name)
		}
	}
	return watched
}

// recall takes the last claims of all members about a type. The caller holds mu.
func (v *Verifier) recall(t resource.Type, h *history, now time.Time) {
	for member, s := range v.others {
		if s.Filter != v.opts.Filter {
			continue
		}
		if sum, ok := s.Sums[h.name]; ok {
			h.take(claim{source: FromPeer, member: member, sum: sum, heard: now})
		}
		for run, lists := range s.Lists {
			if l, ok := lists[h.name]; ok {
				v.hearList(t, member, run, l, now)
			}
		}
	}
	v.wake.check.Wake()
}

// check examines all open claims, and advances the runs.
func (v *Verifier) check(context.Context) time.Duration {
	now := time.Now()
	if v.anyRun() {
		v.refresh() // A run may want a type whose watch is new.
	}
	members := v.opts.Fleet.Members()
	lives := func(member string) bool { return slices.Contains(members, member) }
	v.mu.Lock()
	defer v.mu.Unlock()
	open := len(v.runs) > 0
	for t, h := range v.types {
		if len(h.claims) == 0 {
			continue
		}
		for _, f := range h.examine(v.opts.Index, t, lives, now) {
			v.found(t, f, now)
		}
		if h.wanted {
			v.wake.repair.Wake()
		}
		open = open || len(h.claims) > 0
	}
	v.finishRuns(now)
	if open || len(v.runs) > 0 {
		return checkEvery
	}
	return restFor
}

// found takes the finding of a claim. The caller holds mu.
func (v *Verifier) found(t resource.Type, f finding, now time.Time) {
	switch {
	case f.first:
		v.diverged(t, f.source)
		v.opts.Log.Info("The index of a resource differs from the cluster, the resource is listed anew",
			"resource", t.String(), "source", string(f.source), "member", f.member, "version", f.sum.Version, "objects", f.sum.Objects)
	case f.verdict != Pending:
		v.sayVerdict(f.run, t.String(), f.verdict, now)
	case f.run != "": // the index has forgotten the version: we make a list of our own
		v.queue(job{run: f.run, typ: t})
	}
}

// diverged counts a difference, and calls Options.Diverged.
func (v *Verifier) diverged(t resource.Type, s Source) {
	v.metrics.divergences.count(t, s)
	if v.opts.Diverged != nil {
		v.opts.Diverged(t)
	}
}

// Doubt has a type listed anew, when the pause after its last list is over. It is called when a member that has
// left knew of an object that we may never have seen. It does not block.
func (v *Verifier) Doubt(t resource.Type) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h := v.history(t); !h.doubted {
		h.doubted = true
		v.diverged(t, FromPeer)
		v.opts.Log.Info("The index lacks an object of a member that has left, the resource is listed anew", "resource", t.String(), "source", string(FromPeer))
		v.wake.repair.Wake()
	}
}

// queue adds a list to pending. The caller holds mu.
func (v *Verifier) queue(j job) {
	if !slices.Contains(v.pending, j) && v.listing != j {
		v.pending = append(v.pending, j)
		v.wake.list.Wake()
	}
}

// sayList adds a list to our statement, as sayVerdict adds a verdict. The caller holds mu.
func (v *Verifier) sayList(run string, t string, l List, now time.Time) {
	v.told[tellKey{run, t, true}] = told{list: l, since: now}
	v.hurry()
}

func (v *Verifier) sayVerdict(run string, t string, verdict Verdict, now time.Time) {
	if run == "" {
		return // No run waits for it.
	}
	v.told[tellKey{run, t, false}] = told{verdict: verdict, since: now}
	v.hurry()
}

// hurry has our statement told soon. The caller holds mu.
func (v *Verifier) hurry() {
	v.urgent = true
	v.wake.tell.Wake()
}

// repair lists all due types anew, one after another.
func (v *Verifier) repair(ctx context.Context) time.Duration {
	rest := restFor
	v.mu.Lock()
	var due []resource.Type
	for t, h := range v.types {
		if h.due(time.Now()) {
			due = append(due, t)
		} else if h.waits() {
			rest = tick // the type's pause is not over
		}
	}
	v.mu.Unlock()
	for _, t := range due {
		if ctx.Err() == nil {
			if v.relist(ctx, t) != nil { // relist has logged the error.
				rest = tick
			}
		}
	}
	return rest
}

// relist lists a type anew and settles the claims that waited for the list.
func (v *Verifier) relist(ctx context.Context, t resource.Type) error {
	sum, _ := v.opts.Index.Sum(t)
	v.mu.Lock()
	h := v.history(t)
	h.begin(sum.Objects, time.Now())
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, relistTimeout)
	defer cancel()
	if err := v.opts.Relister.Relist(ctx, t); err != nil {
		v.opts.Log.Info("A resource that differs from the cluster could not be listed anew, it is tried again", "resource", t.String(), "err", err.Error())
		return fmt.Errorf("listing %s anew: %w", t, err)
	}
	v.metrics.repairs.Inc()
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.history(t).mended(now) {
		v.sayVerdict(c.run, t.String(), Repaired, now)
	}
	return nil
}
