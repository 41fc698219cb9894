package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// TestStubs_AreWhatTheItemsWouldBe runs one script on two pipelines that send nothing at first, one of which
// makes no stubs. From outside, the two look the same. In the end both send the rest, and both receivers equal
// the cluster.
func TestStubs_AreWhatTheItemsWouldBe(t *testing.T) {
	stubs, seeds := 0, 40
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		bubble(t, func(t *testing.T) {
			twins := newTwins(t, seed)
			for step := range 40 {
				twins.step()
				stubs += twins.short.p.CountStubs()
				if diff := cmp.Diff(twins.long.seen(), twins.short.seen(), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, step %d, %s (-items +stubs):\n%s", seed, step, twins.last, diff)
				}
			}
			twins.rest(t)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if stubs < 100*seeds {
		t.Errorf("%d stubs in all: the scripts try nothing", stubs)
	}
}

// TestFill_WhileFenced_LeavesTheStubs: a list for them that is under way would turn all of them into parked
// items.
func TestFill_WhileFenced_LeavesTheStubs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newTwin(t)
		var all []string
		for i := range 40 {
			all = append(all, fmt.Sprintf("o%02d", i), strings.Repeat("b", 20))
		}
		r.list(all...)
		stubs := r.p.CountStubs()
		r.owner.set(nobody)
		r.fill(anybody)
		if n := r.p.CountStubs(); stubs < 30 || n != stubs {
			t.Errorf("of %d stubs %d are left", stubs, n)
		}
		r.owner.set(anybody)
		r.start()
		r.fill(anybody)
		time.Sleep(time.Minute)
		if n := len(r.rcv.documents()); n != 40 {
			t.Errorf("%d documents, want 40: %+v", n, r.p.Stats())
		}
	})
}

// twins are two pipelines that get the same events.
type twins struct {
	rnd         *rand.Rand
	short, long *twin
	names       []string
	last        string // what was done last
}

// twin is one of them. Sets of names tell what it may send, what others have delivered and what is in doubt.
type twin struct {
	*rig

	owner             *owner
	covered, doubtful map[resource.ID]bool
}

func newTwins(t *testing.T, seed uint64) *twins {
	t.Helper()
	w := &twins{rnd: rand.New(rand.NewPCG(seed, 7))}
	for i := range 40 {
		w.names = append(w.names, fmt.Sprintf("o%02d", i))
	}
	w.short, w.long = newTwin(t), newTwin(t)
	w.long.p.WithoutStubs()
	ours, covered, doubtful := w.some(50), w.some(10), w.some(10)
	w.both("list", func(r *twin) {
		r.owner.set(func(id resource.ID) bool { return ours[id] })
		r.covered, r.doubtful = covered, doubtful
		var all []string
		for _, name := range w.names {
			all = append(all, name, strings.Repeat("b", 20))
		}
		r.list(all...)
	})
	return w
}

func newTwin(t *testing.T) *twin {
	t.Helper()
	w := &twin{owner: owning(anybody)}
	w.rig = idleRig(t, pipeline.Options{
		Owner: w.owner, MaxBodyBytes: 1, MaxUpserts: 4, FlushInterval: time.Second, Debounce: 2 * time.Second, MaxWait: 5 * time.Second,
		Covers:   func(_ resource.Type, id resource.ID, s pipeline.State) bool { return !s.Deleted && w.covered[id] },
		Doubtful: func(id resource.ID) (pipeline.Doubt, bool) { return pipeline.Doubt{ID: id}, w.doubtful[id] },
	})
	return w
}

// both does the same to both pipelines, and waits until they are at rest.
func (w *twins) both(what string, f func(*twin)) {
	w.last = what
	f(w.short)
	f(w.long)
}

func (w *twins) some(share int) map[resource.ID]bool {
	some := make(map[resource.ID]bool)
	for _, name := range w.names {
		if w.rnd.IntN(100) < share {
			some[id(name)] = true
		}
	}
	return some
}

func (w *twins) step() {
	name, body := w.names[w.rnd.IntN(len(w.names))], strings.Repeat("b", 20+w.rnd.IntN(4))
	some := w.some(30)
	in := func(id resource.ID) bool { return some[id] }
	switch w.rnd.IntN(12) {
	case 0, 1, 2:
		w.both("put "+name, func(r *twin) { r.put(name, body) })
	case 3:
		w.both("delete "+name, func(r *twin) { r.del(name) })
	case 4, 5:
		w.both("move", func(r *twin) {
			r.owner.set(func(id resource.ID) bool { return !some[id] })
			r.p.Gained(match(anybody))
			r.p.MaySendChanged()
		})
	case 6:
		w.both("cover", func(r *twin) {
			r.covered = some
			r.p.ForgetCovered(nil, nil)
		})
	case 7:
		contested := func(_ resource.Type, id resource.ID, _ pipeline.State) bool { return id.Hash()%2 == 0 }
		w.both("cover, contested", func(r *twin) {
			r.covered = some
			r.p.ForgetCovered(func(resource.Type, bool) func(resource.ID, pipeline.State) bool {
				return func(resource.ID, pipeline.State) bool { return true }
			}, contested)
		})
	case 8:
		few := w.some(3)
		w.both("take over from the dead", func(r *twin) { r.p.Doubt(match(func(id resource.ID) bool { return few[id] })) })
	case 9:
		few := w.some(3)
		w.both("doubt", func(r *twin) { r.doubtful = few })
	case 10:
		w.both("fill", func(r *twin) { r.fill(in) })
	default:
		w.both("offer", func(r *twin) { r.offer(name) })
	}
}

// fill gives back the bodies of some objects.
func (w *twin) fill(some func(resource.ID) bool) {
	w.each(func(r resource.Record) {
		if some(id(r.Name)) {
			w.index.IfCurrent(pods, r, func() { w.p.Fill(pods, r, false) })
		}
	})
	w.p.FlushBulk()
}

// each calls f with each known record; bodies are told by their digests.
func (w *twin) each(f func(resource.Record)) {
	for _, key := range w.index.Names(pods) {
		name := strings.TrimPrefix(key, "a/")
		digest, version, _ := w.index.Get(pods, "a", name)
		for n := range 4 {
			if r := record(name, strings.Repeat("b", 20+n), version); r.Digest == digest {
				f(r)
			}
		}
	}
}

func (w *twin) offer(name string) {
	ticket := pipeline.NewTicket()
	w.each(func(r resource.Record) {
		if r.Name == name {
			w.index.IfCurrent(pods, r, func() { w.p.Offer(pods, r, ticket) })
		}
	})
	ticket.Close()
}

// seen is all that is visible of a pipeline from outside.
type seen struct {
	Stats    pipeline.Stats
	Pending  int
	Evicted  map[resource.Type]bool
	Own, All map[resource.Type]pipeline.Unacknowledged
	Items    map[string]pipeline.ItemStatus
}

func (w *twin) seen() seen {
	s := seen{Stats: w.p.Stats(), Pending: w.p.Pending(pods), Evicted: w.p.Evicted(), Items: make(map[string]pipeline.ItemStatus)}
	s.Stats.OldestDirty = 0 // All stubs of a type are as old as the first of them.
	s.Own, s.All = w.p.Unacknowledged(match(func(id resource.ID) bool { return id.Hash()%3 == 0 }))
	for _, of := range []map[resource.Type]pipeline.Unacknowledged{s.Own, s.All} {
		for t, u := range of {
			for _, id := range u.IDs {
				u.Further = append(u.Further, id.Short())
			}
			slices.Sort(u.Further)
			slices.SortFunc(u.Doubtful, func(a, b pipeline.Doubt) int { return strings.Compare(string(a.ID), string(b.ID)) })
			slices.Sort(u.Refused)
			u.IDs = nil
			of[t] = u
		}
	}
	for i := range 40 {
		name := fmt.Sprintf("o%02d", i)
		if item, ok := w.p.Item(id(name)); ok {
			item.Since, item.Failure.At = time.Time{}, time.Time{}
			s.Items[name] = item
		}
	}
	return s
}

// rest lets all objects be sent, and fails unless both receivers hold the objects of the index.
func (w *twins) rest(t *testing.T) {
	t.Helper()
	w.both("end", func(r *twin) {
		r.owner.set(anybody)
		r.covered, r.doubtful = nil, nil
		r.p.MaySendChanged()
		r.start()
	})
	for range 20 { // last words want their bodies again
		w.both("fill", func(r *twin) { r.fill(anybody) })
		time.Sleep(time.Minute)
	}
	if diff := cmp.Diff(w.long.rcv.documents(), w.short.rcv.documents()); diff != "" {
		t.Errorf("what was received (-items +stubs):\n%s", diff)
	}
	for _, r := range []*twin{w.short, w.long} {
		if s := r.p.Stats(); s.Dirty != 0 || s.Parked != 0 || s.BodyBytes != 0 || s.OldestDirty != 0 || r.p.CountStubs() != 0 {
			t.Errorf("not at rest: %+v, %d stubs", s, r.p.CountStubs())
		}
	}
}
