package ownership_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

var (
	simSeeds = flag.Int("sim.seeds", 1200, "how many seeds to simulate")
	simSeed  = flag.Int64("sim.seed", -1, "simulate only this seed and print what happened")
	simBreak = flag.String("sim.break", "", "with -sim.seed: the rule to switch off: observe, others, fence, drain, season, zombies, mark, yields, yield drain")
)

// The formats are small, because an overlap of one partition is as wrong as one of a thousand. Both have the same
// partitions, so that requests under the one can be compared with requests under the other.
var (
	formatOld = ring.Format{Algorithm: ring.Algorithm, Partitions: 64, Replicas: 10, Load: 1.25}
	formatNew = ring.Format{Algorithm: ring.Algorithm, Partitions: 64, Replicas: 11, Load: 1.25}
)

var rings sync.Map

// sharedRing builds each ring once for all simulations.
func sharedRing(members []string, f ring.Format) (*ring.Ring, error) {
	key := f.String() + " " + strings.Join(members, ",")
	if r, ok := rings.Load(key); ok {
		return r.(*ring.Ring), nil
	}
	r, err := ring.New(members, f)
	if err == nil {
		rings.Store(key, r)
	}
	return r, err
}

// fleet is the StatefulSet: it starts pods, and starts them again.
type fleet struct {
	*world
	pods   map[string]*node
	uids   int
	format ring.Format
	size   int
	habit  int // the fault that happens more often than others
}

func (f *fleet) pod(i int) string { return fmt.Sprintf("pod-%d", i) }

func (f *fleet) create(name string) {
	f.uids++
	f.pods[name] = f.start(name, fmt.Sprintf("u%d", f.uids), f.format)
}

// restart brings a dead process back: the container in the same pod, or another pod of the same name.
func (f *fleet) restart(name, uid string) {
	d := f.between(10*time.Millisecond, 4*time.Second)
	f.after(d, func() {
		if f.pods[name] == nil || !f.pods[name].ended {
			return
		}
		if f.chance(2) {
			f.pods[name] = f.start(name, uid, f.pods[name].format)
		} else {
			f.create(name)
		}
	})
}

func (f *fleet) replace(name string) {
	n := f.pods[name]
	n.leave(func() {
		f.after(f.between(10*time.Millisecond, 3*time.Second), func() {
			if f.pods[name] != nil && f.pods[name].ended {
				f.create(name)
			}
		})
	})
}

func (f *fleet) scale(size int) {
	f.logf("scaled from %d to %d", f.size, size)
	f.size = size
	for i := range 6 {
		name := f.pod(i)
		n := f.pods[name]
		switch {
		case i < size && n == nil:
			f.create(name)
		case i >= size && n != nil:
			delete(f.pods, name)
			n.leave(func() {})
			if n.ended { // crashed and not restarted yet
				continue
			}
		}
	}
}

// fault is one misfortune.
func (f *fleet) fault() {
	name := f.pod(f.rng.IntN(f.size))
	n := f.pods[name]
	if n == nil || n.ended {
		return
	}
	d := f.between(100*time.Millisecond, 5*time.Second)
	if f.chance(2) {
		d = f.between(5*time.Second, 50*time.Second)
	}
	kind := f.rng.IntN(11)
	if f.chance(2) {
		kind = f.habit
	}
	switch kind {
	case 0, 1:
		n.kill()
		f.restart(name, n.uid)
	case 2, 3:
		f.logf("%s is stopped for %v", n.process, d)
		n.freeze(d)
	case 4:
		f.logf("%s cannot reach the API server for %v", n.process, d)
		n.cutOff = f.now + d
		f.after(d, f.notify)
	case 5:
		f.logf("%s's watch delivers nothing for %v", n.process, d)
		n.deaf = f.now + d
		f.after(d, f.notify)
	case 6:
		f.logf("%s's watch breaks and is begun anew after %v", n.process, d)
		n.deaf = f.now + d
		n.relist()
	case 7:
		// The last live Lease is never deleted: a ring without any looks like one that has never begun.
		if _, ok := f.api.leases[name]; ok && f.othersLive(name) {
			f.api.remove(name, 0)
			f.logf("a person deletes the Lease of %s, version %d", name, f.api.version)
			f.notify()
		}
	case 8:
		f.replace(name)
	case 9:
		f.scale(1 + f.rng.IntN(5))
	case 10:
		if f.chance(3) {
			f.upgrade()
		}
	}
}

// upgrade replaces all pods one after the other, from the last to the first, by pods of another ring format.
func (f *fleet) upgrade() {
	if f.format == formatOld {
		f.format = formatNew
	} else {
		f.format = formatOld
	}
	f.logf("rolling upgrade to %s", f.format)
	at := time.Duration(0)
	for i := f.size - 1; i >= 0; i-- {
		at += f.between(100*time.Millisecond, 8*time.Second)
		name := f.pod(i)
		f.after(at, func() {
			if n := f.pods[name]; n != nil && !n.ended && n.format != f.format {
				f.replace(name)
			}
		})
	}
}

const (
	storm = 120 * time.Second
	// quiet is how long after the last fault every partition must be owned again. A member that was cut off or
	// stopped comes back. A pod may have to wait for its own predecessor to be found dead, by clocks that are up to
	// 15 % slow, and then for a slow request of the last moment.
	quiet = 45 * time.Second
)

// simulate runs one seed and returns the world at its end.
func simulate(seed int64, broken string) *world {
	w := &world{rng: rand.New(rand.NewPCG(uint64(seed), 7)), api: server{leases: make(map[string]ownership.Lease)}}
	if w.api.careless = broken == "mark"; !w.api.careless {
		w.broken = broken
	}
	w.lag, w.eager = 2+w.rng.IntN(40), 2+w.rng.IntN(6)
	w.haste = w.between(500*time.Millisecond, 30*time.Second)
	f := &fleet{world: w, pods: make(map[string]*node), format: formatOld, habit: w.rng.IntN(11)}
	f.scale(1 + w.rng.IntN(5))
	pace := w.between(time.Second, 12*time.Second)
	for at := w.between(0, 20*time.Second); at < storm; at += w.between(0, 2*pace) {
		w.after(at, f.fault)
	}
	w.run(storm)
	f.settle()
	w.run(storm + quiet)
	f.check()
	return w
}

// settle ends all faults.
func (f *fleet) settle() {
	if f.failure != "" {
		return
	}
	f.logf("the storm is over")
	f.faultless = true
	for i := range f.size {
		name := f.pod(i)
		n := f.pods[name]
		if n == nil || n.ended {
			f.create(name)
			continue
		}
		n.cutOff, n.deaf = 0, 0
		for _, r := range n.requests {
			n.later(f.between(0, 5*time.Second), func() { n.finish(r) })
		}
		if f.now < n.frozen {
			n.frozen = 0
			n.freeze(0)
		}
		if !n.leaving && n.format != f.format {
			f.replace(name)
		}
	}
	f.notify()
}

// check tests whether every partition is owned again, by exactly one member.
func (f *fleet) check() {
	if f.failure != "" {
		return
	}
	owners := make(map[place]int)
	for _, n := range f.nodes {
		if n.ended {
			continue
		}
		for _, at := range places(n.m.Owned()) {
			if n.m.MaySend(at.kind, at.namespace, at.partition, n.clock()) {
				owners[at]++
			}
		}
		if s := n.m.Status(n.clock()); s.Disagreeing != 0 || s.Orphans != 0 || len(s.Takes)+len(s.Yields) > 0 {
			f.fail("I4: %s sees %d orphans and disagreement for %v long after the last fault, claims %v", n.process, s.Orphans, s.Disagreeing, s.Claim)
		}
	}
	for _, at := range points {
		for at.partition = range 64 {
			if owners[at] != 1 {
				f.fail("I4: %v has %d owners %v after the last fault, want 1", at, owners[at], quiet)
			}
		}
	}
}

// TestNoTwoMembersSendForOnePartition simulates fleets in fault storms. It checks
//
//	I2: no request for a partition is begun while another member's is in flight, nor after the member's own fence;
//	I4, as far as it rests on ownership: some time after the last fault every partition has exactly one owner, and
//	no part is taken.
//
// A failing seed is replayed with -run TestNoTwoMembersSendForOnePartition -sim.seed=N, which prints its schedule.
func TestNoTwoMembersSendForOnePartition(t *testing.T) {
	t.Parallel()
	if *simSeed >= 0 {
		w := simulate(*simSeed, *simBreak)
		t.Log(strings.Join(w.trace, "\n"))
		if w.failure != "" {
			t.Errorf("seed %d: %s", *simSeed, w.failure)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = 10
	}
	var next, requests, kills atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1) - 1; seed < int64(seeds) && !t.Failed(); seed = next.Add(1) - 1 {
				w := simulate(seed, "")
				requests.Add(int64(w.begun))
				kills.Add(int64(w.killed))
				if w.failure != "" {
					t.Errorf("seed %d: %s\nreplay with -run %s -sim.seed=%d; the end of the schedule:\n%s", seed, w.failure, t.Name(), seed,
						strings.Join(w.trace[max(0, len(w.trace)-60):], "\n"))
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d seeds, %d requests, %d processes killed", seeds, requests.Load(), kills.Load())
}

// TestEachRuleIsNeeded switches off one rule at a time and expects the simulation to find two senders.
func TestEachRuleIsNeeded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("minutes with the race detector, which has nothing to find here: run without -short")
	}
	const seeds = 1000
	for rule, first := range map[string]int64{ // with the seed that is tried first, since it showed two senders before
		"observe": 14, "others": 4, "fence": 6, "drain": 3, "season": 983, "zombies": 11, "mark": 93, "yields": 3, "yield drain": 3,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for i := range int64(seeds) {
				seed := (first + i) % seeds
				if w := simulate(seed, rule); strings.HasPrefix(w.failure, "I2") {
					t.Logf("without the rule, seed %d fails: %s", seed, w.failure)
					return
				}
			}
			t.Errorf("%d seeds without the rule show no two senders, want at least one that does", seeds)
		})
	}
}

// othersLive tells whether a member other than this one has a live Lease.
func (f *fleet) othersLive(name string) bool {
	for member, l := range f.api.leases {
		if member != name && l.State == ownership.Live {
			return true
		}
	}
	return false
}
