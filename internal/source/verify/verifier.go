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
)

// Lister lists the states of a type's objects; [watch.Lister] is one.
type Lister interface {
	States(ctx context.Context, t resource.Type, page func(version uint64, states []watch.State) error) (uint64, error)
}

// Relister lists a type anew into the index; [watch.Manager] is one.
type Relister interface {
	Relist(ctx context.Context, t resource.Type) error
}

// Fleet are the members of the ring.
type Fleet interface {
	// Members are those that live, ourselves among them; none before we have joined.
	Members() []string
	// Assignee is the one of them that lists a type, by its name.
	Assignee(typeName string) string
}

// Teller makes what we say known to the others; [Store] is one.
type Teller interface {
	// Tell blocks for a request or two.
	Tell(ctx context.Context, s Statement) error
}

// Watched is a type that is watched at the moment.
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
	// Filter names what decides which objects are in the index.
	Filter string
	// Interval is how often each type is listed by somebody; 0 is never but when it is asked for.
	Interval time.Duration
	// Diverged is told of each type that is found to differ. It must not block. Nil tells nobody.
	Diverged func(t resource.Type)
	// Tracer begins a span for each list; nil begins none.
	Tracer *tracing.Tracer
	// Log gets what is found.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

const (
	// tellEvery is the pace at which sums are told; what somebody waits for is told within a second.
	tellEvery = 10 * time.Second
	// checkEvery is how often open claims are looked at. The index remembers the sums of 2.5 s of a busy type.
	checkEvery = 200 * time.Millisecond
	// tick is the pace of all else that is under way; restFor is for how long a loop rests that has nothing to do.
	tick    = time.Second
	restFor = 10 * time.Second
	// keepTold is for how long a list and a verdict are told: long enough for everybody to hear of them.
	keepTold = 2 * time.Minute
	// relistTimeout bounds one attempt to list a type anew; the Reflector goes on trying after it.
	relistTimeout = 5 * time.Minute
)

// Verifier holds an index against the cluster. Create it with [New].
type Verifier struct {
	opts    Options
	metrics *metrics
	wake    slots

	mu      sync.Mutex // guards the fields below
	began   time.Time
	types   map[resource.Type]*history
	looks   uint64 // how many times types were taken note of
	byName  map[string]resource.Type
	others  map[string]Statement
	told    map[tellKey]told    // what we tell of lists and verdicts
	runs    map[string]*running // of all members
	ended   []Run               // the last ones, newest first
	pending []job               // lists to be made for runs
	listing job                 // the one that is being made
	urgent  bool                // something is to be told soon
}

// tellKey names a list of ours, or a verdict.
type tellKey struct {
	run, typ string
	isList   bool
}

// told is what it names, until everybody has heard of it.
type told struct {
	list    List
	verdict Verdict
	since   time.Time
}

// job is a list that a run wants.
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
	var loops errgroup.Group // All end with ctx.
	for _, l := range []struct {
		slot chan struct{}
		step func(context.Context) time.Duration
	}{{v.wake.check, v.check}, {v.wake.repair, v.repair}, {v.wake.list, v.listDue}, {v.wake.tell, (&tellLoop{v: v}).step}} {
		loops.Go(func() error { loop(ctx, l.slot, l.step); return nil })
	}
	return loops.Wait() // None returns an error.
}

// loop calls step, which says how long to rest at most, again and again until ctx ends. It is woken by the slot.
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

// slots wake the loops; each holds one.
type slots struct{ check, repair, list, tell chan struct{} }

func newSlots() slots {
	return slots{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}
}

func wake(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default: // It will look anyway.
	}
}

// Hear takes what another member says. ok is false for one that says nothing any more.
func (v *Verifier) Hear(member string, s Statement, ok bool) {
	if member == v.opts.Member {
		return
	}
	now := time.Now()
	defer wake(v.wake.check)
	if len(s.Lists) > 0 {
		v.refresh() // What is told of a type is not told again.
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

// hearList takes somebody's list of a type.
func (v *Verifier) hearList(t resource.Type, member, run string, l List, now time.Time) {
	if l.Err != "" {
		return
	}
	h := v.history(t)
	h.listed = now
	h.take(claim{source: FromList, member: member, run: run, sum: l.Sum, heard: now})
}

// history returns what is known of a type. The caller holds mu.
func (v *Verifier) history(t resource.Type) *history {
	h := v.types[t]
	if h == nil {
		h = &history{name: t.String()}
		v.types[t] = h
	}
	return h
}

// refresh takes note of the types that are watched, and returns them. Of others nothing is remembered. What the members
// have said of a type before it was known to be watched is taken now: they do not say it again.
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

// recall takes what the members have said last of a type. The caller holds mu.
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
	wake(v.wake.check)
}

// check compares all open claims, and looks after the runs.
func (v *Verifier) check(context.Context) time.Duration {
	now := time.Now()
	if v.anyRun() {
		v.refresh() // A type that is watched since we last looked is watched.
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
			wake(v.wake.repair)
		}
		open = open || len(h.claims) > 0
	}
	v.finishRuns(now)
	if open || len(v.runs) > 0 {
		return checkEvery
	}
	return restFor
}

// found takes what came of a claim. The caller holds mu.
func (v *Verifier) found(t resource.Type, f finding, now time.Time) {
	switch {
	case f.first:
		v.diverged(t, f.source)
		v.opts.Log.Info("What is known of a resource differs from the cluster, it is listed anew",
			"resource", t.String(), "source", string(f.source), "member", f.member, "version", f.sum.Version, "objects", f.sum.Objects)
	case f.verdict != Pending:
		v.sayVerdict(f.run, t.String(), f.verdict, now)
	case f.run != "": // too long ago to be compared: we find out for ourselves
		v.queue(job{run: f.run, typ: t})
	}
}

// diverged counts a difference, and tells of it.
func (v *Verifier) diverged(t resource.Type, s Source) {
	v.metrics.divergences.count(t, s)
	if v.opts.Diverged != nil {
		v.opts.Diverged(t)
	}
}

// Doubt has a type listed anew, when the pause since it was last is over: a member that has left knew of an object that
// we may never have heard of. It does not block.
func (v *Verifier) Doubt(t resource.Type) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h := v.history(t); !h.doubted {
		h.doubted = true
		v.diverged(t, FromPeer)
		v.opts.Log.Info("A member that has left knew of an object that is not known here, the resource is listed anew", "resource", t.String(), "source", string(FromPeer))
		wake(v.wake.repair)
	}
}

// queue has a list made. The caller holds mu.
func (v *Verifier) queue(j job) {
	if !slices.Contains(v.pending, j) && v.listing != j {
		v.pending = append(v.pending, j)
		wake(v.wake.list)
	}
}

// sayList and sayVerdict note what the others are to hear. The caller holds mu.
func (v *Verifier) sayList(run string, t string, l List, now time.Time) {
	v.told[tellKey{run, t, true}] = told{list: l, since: now}
	v.hurry()
}

func (v *Verifier) sayVerdict(run string, t string, verdict Verdict, now time.Time) {
	if run == "" {
		return // Nobody waits for it.
	}
	v.told[tellKey{run, t, false}] = told{verdict: verdict, since: now}
	v.hurry()
}

// hurry has the others told soon. The caller holds mu.
func (v *Verifier) hurry() {
	v.urgent = true
	wake(v.wake.tell)
}

// repair lists anew what is to be, one type after another.
func (v *Verifier) repair(ctx context.Context) time.Duration {
	rest := restFor
	v.mu.Lock()
	var due []resource.Type
	for t, h := range v.types {
		if h.due(time.Now()) {
			due = append(due, t)
		} else if h.waits() {
			rest = tick // its pause is not over
		}
	}
	v.mu.Unlock()
	for _, t := range due {
		if ctx.Err() == nil {
			if v.relist(ctx, t) != nil { // It has been logged.
				rest = tick
			}
		}
	}
	return rest
}

// relist lists a type anew and settles what waited for that.
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
