package app_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "run only this seed of the model of the fleet")
	modelFirst = flag.Uint64("model.first", 1, "the first seed of the model of the fleet")
	modelSeeds = flag.Uint64("model.seeds", 12, "how many seeds of the model of the fleet are run")
)

// TestAFleetLosesNothingThatItsCheckpointsTell is a storm in virtual time: members of a fleet are killed, fenced, told to
// leave and started, their watches lag or begin anew, the API server forgets its history, and the receiver refuses or
// hangs, while objects come, change and go. What passes between the members is all real: pipelines, checkpoints, searches.
// Afterwards the receiver has what the cluster has. -model.seed=N replays one.
func TestAFleetLosesNothingThatItsCheckpointsTell(t *testing.T) {
	first, last := *modelFirst, *modelFirst+*modelSeeds-1
	if *modelSeed > 0 {
		first, last = *modelSeed, *modelSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newWorld(t, seed).rage() })
		})
	}
}

// world is a cluster of two types, of which one is removed and comes back, a receiver, and a fleet between them.
type world struct {
	t      *testing.T
	rng    *rand.Rand // of the driver
	client *fake.Clientset
	format ring.Format
	began  time.Time

	story sync.Mutex // guards lines
	lines []line

	mu        sync.Mutex // guards what follows
	version   uint64
	objects   map[string]record
	events    []record
	forgotten uint64 // the API server remembers what came after
	away      bool   // the API server
	mode      string // of the receiver: "", busy or hangs
	docs      map[resource.ID]resource.Body
	members   map[string]*member
	view      []string
	crashed   map[string]bool // since the view was agreed
	removed   bool            // the second type is
	ended     bool
}

// gadgets is the type that is removed. Its objects are those whose names begin with a g.
var gadgets = resource.Type{Group: "example.com", Version: "v1", Resource: "gadgets", Kind: "Gadget", Namespaced: true}

func typeOf(name string) resource.Type {
	if strings.HasPrefix(name, "g") {
		return gadgets
	}
	return pods
}

// record is one state of an object, or its deletion.
type record struct {
	name    string
	version uint64
	deleted bool
}

func (r record) record() resource.Record {
	return resource.Record{Namespace: "a", Name: r.name, ResourceVersion: r.version, Digest: r.version, Body: resource.Body(fmt.Sprint(r.version))}
}

// member is one process.
type member struct {
	name   string
	stay   int
	peer   *app.Peer
	ctx    context.Context
	cancel context.CancelFunc
	live   bool // by its Lease
	joined bool // may be in the ring
	away   bool // fenced
	lags   bool // its watch brings nothing
	relist bool // and will begin anew
	listed bool
	blind  bool      // its watch has ended
	next   int       // in events
	solid  time.Time // since when it has seen everything
	unseen bool      // the second type is not served, as far as it knows
}

func (m *member) incarnation() string { return fmt.Sprintf("%s-process-%p.%d", m.name, m, m.stay) }

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), client: fake.NewClientset(), format: ring.DefaultFormat(), began: time.Now(),
		version: 100, forgotten: 1, objects: map[string]record{}, docs: map[resource.ID]resource.Body{}, members: map[string]*member{}, crashed: map[string]bool{},
	}
	w.client.PrependReactor("*", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.away {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	return w
}

// say notes what happens to the fleet.
func (w *world) say(format string, args ...any) { w.note("", format, args...) }

// note notes what happens to an object; without a name, to the fleet. All of it that concerns what is amiss is told when the
// test fails.
func (w *world) note(name, format string, args ...any) {
	w.story.Lock()
	defer w.story.Unlock()
	w.lines = append(w.lines, line{name, fmt.Sprintf("%6.2f  %s", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))})
}

// tell returns the story of the fleet and of what is amiss.
func (w *world) tell(amiss string) string {
	w.story.Lock()
	defer w.story.Unlock()
	var text []string
	for _, l := range w.lines {
		if l.name == "" || strings.Contains(amiss+" ", "/"+l.name+" ") {
			text = append(text, l.text)
		}
	}
	return strings.Join(text, "\n")
}

type line struct{ name, text string }

// Send implements the receiver.
func (w *world) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	select {
	case <-ctx.Done():
		return wire.Outcome{Kind: wire.Unknown, Own: true}
	case <-time.After(10 * time.Millisecond):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.mode {
	case "busy":
		return wire.Outcome{Kind: wire.Retry, Status: 503, Reason: "busy"}
	case "hangs":
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		w.mu.Lock()
		return wire.Outcome{Kind: wire.Unknown, Reason: "no answer"}
	}
	for _, u := range r.Upserts {
		w.note(u.Name, "the receiver gets %s of version %s", u.Name, u.Body)
		w.docs[u.ID] = u.Body
	}
	for _, id := range r.Deletes {
		name := string(id[strings.LastIndexByte(string(id), '/')+1:])
		w.note(name, "the receiver deletes %s", name)
		delete(w.docs, id)
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// Pages implements the API server's lists of the past.
func (w *world) Pages(_ context.Context, t resource.Type, o watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	w.mu.Lock()
	if w.away {
		w.mu.Unlock()
		return 0, apierrors.NewServiceUnavailable("away")
	}
	w.say("somebody asks what there was at version %d", o.Exact)
	there := map[string]record{}
	for _, e := range w.events {
		if e.version > o.Exact {
			break
		}
		if typeOf(e.name) != t {
			continue
		}
		if there[e.name] = e; e.deleted {
			delete(there, e.name)
		}
	}
	w.mu.Unlock()
	var rs []resource.Record
	for _, name := range slices.Sorted(maps.Keys(there)) {
		rs = append(rs, there[name].record())
	}
	return o.Exact, page(rs)
}

// Deletions implements the API server's history.
func (w *world) Deletions(_ context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error {
	w.mu.Lock()
	if w.away || after < w.forgotten {
		w.mu.Unlock()
		return watch.ErrExpired
	}
	var gone []watch.Deletion
	for _, e := range w.events {
		if typeOf(e.name) == t && e.deleted && e.version > after && e.version <= until {
			gone = append(gone, watch.Deletion{Namespace: "a", Name: e.name, Version: e.version})
		}
	}
	w.mu.Unlock()
	for _, d := range gone {
		each(d)
	}
	return nil
}

// leases are what every member sees of the others.
func (w *world) leases() []ownership.MemberStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []ownership.MemberStatus
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		m := w.members[name]
		state := ownership.Dead
		if m.live {
			state = ownership.Live
		}
		all = append(all, ownership.MemberStatus{Lease: ownership.Lease{Member: name, Incarnation: m.incarnation(), State: state}})
	}
	return all
}

// churn changes objects, and brings members what they have not seen, until the world ends.
func (w *world) churn(seed uint64, until time.Time) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for {
		w.mu.Lock()
		if w.ended {
			w.mu.Unlock()
			return
		}
		if !w.away && time.Now().Before(until) {
			w.change(rng)
		}
		members := slices.Collect(maps.Values(w.members))
		w.mu.Unlock()
		for _, m := range members {
			w.bring(m)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// change makes one change. The caller holds mu.
func (w *world) change(rng *rand.Rand) {
	w.version++
	r := record{name: fmt.Sprint("o", rng.IntN(12)), version: w.version}
	switch n := rng.IntN(12); {
	case n == 0 && !w.removed:
		r.name = fmt.Sprint("g", rng.IntN(6))
	case n < 5: // many names that come and go once
		r.name = fmt.Sprint("once", rng.IntN(1000))
	}
	if _, there := w.objects[r.name]; there && rng.IntN(2) == 0 {
		r.deleted = true
		delete(w.objects, r.name)
	} else {
		w.objects[r.name] = r
	}
	w.events = append(w.events, r)
	w.note(r.name, "%s changes: version %d, deleted %v", r.name, r.version, r.deleted)
	if names := slices.Sorted(maps.Keys(w.objects)); len(names) > 20 {
		w.version++
		name := names[rng.IntN(len(names))]
		delete(w.objects, name)
		w.events = append(w.events, record{name: name, version: w.version, deleted: true})
		w.note(name, "%s is deleted at version %d", name, w.version)
	}
}

// bring shows a member's watch what has happened.
func (w *world) bring(m *member) {
	w.mu.Lock()
	if w.away || m.lags || m.blind || m.ctx.Err() != nil || !m.joined {
		w.mu.Unlock()
		return
	}
	var list []resource.Record
	relist, version := m.relist || !m.listed, w.version
	events := w.events[m.next:]
	m.next = len(w.events)
	back := m.unseen && !w.removed
	gone := m.listed && !m.unseen && w.removed
	m.unseen = w.removed
	var others []resource.Record
	if relist || back {
		for _, name := range slices.Sorted(maps.Keys(w.objects)) {
			if typeOf(name) == gadgets {
				others = append(others, w.objects[name].record())
			} else {
				list = append(list, w.objects[name].record())
			}
		}
	}
	served := !w.removed
	if relist {
		m.relist, m.listed, m.solid = false, true, time.Now()
	}
	w.mu.Unlock()
	if relist {
		w.say("%s lists at version %d", m.name, version)
		m.peer.Index.Replace(pods, list, version)
	}
	if gone {
		w.say("%s sees that a type is gone", m.name)
		m.peer.Index.Remove(gadgets)
	}
	if served && (relist || back) {
		m.peer.Index.Replace(gadgets, others, version)
	}
	if relist {
		return
	}
	for _, e := range events {
		switch typ := typeOf(e.name); {
		case typ == gadgets && (!served || back): // of a watch that has ended, or before its list
		case e.deleted:
			m.peer.Index.Delete(typ, "a", e.name, e.version)
		default:
			m.peer.Index.Upsert(typ, e.record())
		}
	}
	m.peer.Index.Bookmark(pods, version)
	if served {
		m.peer.Index.Bookmark(gadgets, version)
	}
}

// agree hands partitions over whenever members have come or gone, one change after the other, until the world ends.
func (w *world) agree() {
	for {
		w.mu.Lock()
		if w.ended {
			w.mu.Unlock()
			return
		}
		var view []string
		for name, m := range w.members {
			if m.live && m.joined && !m.away {
				view = append(view, name)
			}
		}
		slices.Sort(view)
		before, crashed := w.view, w.crashed
		changed := !slices.Equal(view, before) || len(crashed) > 0
		members := maps.Clone(w.members)
		if changed && !w.away {
			w.view, w.crashed = view, map[string]bool{}
		}
		away := w.away
		w.mu.Unlock()
		if changed && !away {
			w.say("the ring is %v, crashed %v", view, slices.Sorted(maps.Keys(crashed)))
			w.handOver(members, before, view, crashed)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// handOver is what membership makes of a change of the ring: who loses drains, speaks and publishes before who gains
// begins.
func (w *world) handOver(members map[string]*member, before, after []string, crashed map[string]bool) {
	owner := func(view []string) func(resource.ID) string {
		if len(view) == 0 {
			return func(resource.ID) string { return "" }
		}
		r, err := ring.New(view, w.format)
		if err != nil {
			w.t.Error(err)
			return func(resource.ID) string { return "" }
		}
		return func(id resource.ID) string { return r.Owner(r.Partition(string(id))) }
	}
	was, is := owner(before), owner(after)
	var losing sync.WaitGroup
	for _, name := range after {
		m := members[name]
		if !slices.Contains(before, name) || crashed[name] {
			continue
		}
		losing.Go(func() {
			lost := func(id resource.ID) bool { return was(id) == name && is(id) != name }
			m.peer.Lose(lost)
			m.peer.Drain(lost)
		})
	}
	losing.Wait()
	var gaining sync.WaitGroup
	for _, name := range after {
		m := members[name]
		m.peer.Publish(after)
		gaining.Go(func() {
			mine := func(id resource.ID) bool { return is(id) == name }
			gained := func(id resource.ID) bool { return is(id) == name && (was(id) != name || crashed[name]) }
			m.peer.Gain(m.ctx, mine, gained, func(id resource.ID) bool { return gained(id) && crashed[was(id)] })
		})
	}
	gaining.Wait()
}

// start starts a process under a name.
func (w *world) start(name string) {
	m := &member{name: name, live: true}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	reads := time.Now().Add(time.Duration(w.rng.IntN(2)*w.rng.IntN(6000)) * time.Millisecond)
	m.peer = app.NewPeer(app.PeerOptions{
		Name: name, Incarnation: m.incarnation(), Maps: w.client.CoreV1(), Sender: w, Pager: w, Leases: w.leases, Settle: 2 * time.Second, Exceptions: w.rng.IntN(8),
		Read: func() bool { return time.Now().After(reads) },
		Served: func() []resource.Type {
			w.mu.Lock()
			defer w.mu.Unlock()
			if m.unseen {
				return []resource.Type{pods}
			}
			return []resource.Type{pods, gadgets}
		},
	})
	w.say("start %s, which reads for %.2f s", name, time.Until(reads).Seconds())
	w.mu.Lock()
	w.members[name] = m
	w.mu.Unlock()
	m.peer.Begin()
	go func() {
		select {
		case <-m.ctx.Done():
			return
		case <-m.peer.Synced():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		m.joined = true
	}()
}

// crash ends a member's Lease as an expiry does. The caller holds mu.
func (w *world) crash(m *member) {
	m.live = false
	if slices.Contains(w.view, m.name) {
		w.crashed[m.name] = true
	}
}

// deed does one thing.
func (w *world) deed() {
	w.mu.Lock()
	var here []*member
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		if m := w.members[name]; m.live && m.joined && !m.away && !m.blind && m.listed {
			here = append(here, m)
		}
	}
	solid := func(but *member) bool { // somebody else has seen everything for longer than a checkpoint takes
		return slices.ContainsFunc(here, func(m *member) bool { return m != but && !m.lags && !m.relist && time.Since(m.solid) > 12*time.Second })
	}
	var some *member
	if len(here) > 0 {
		some = here[w.rng.IntN(len(here))]
	}
	apiAway := w.away
	w.mu.Unlock()
	switch n := w.rng.IntN(17); {
	case n < 3 && len(here) < 4:
		name := fmt.Sprint("m", w.rng.IntN(5))
		w.mu.Lock()
		m := w.members[name]
		w.mu.Unlock()
		if m == nil || m.ctx.Err() != nil {
			w.start(name)
		}
	case n < 5 && some != nil && solid(some):
		w.say("kill %s", some.name)
		some.cancel()
		some.peer.Kill()
		w.mu.Lock()
		w.crash(some)
		w.mu.Unlock()
	case n < 7 && some != nil && !apiAway:
		w.say("%s leaves", some.name)
		w.leave(some)
	case n < 9 && some != nil && !some.lags:
		relist := w.rng.IntN(2) == 0
		w.say("%s lags, and begins anew: %v", some.name, relist)
		w.mu.Lock()
		some.lags = true
		w.mu.Unlock()
		for_ := time.Duration(w.rng.IntN(3000)) * time.Millisecond
		time.AfterFunc(for_, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			some.lags, some.relist = false, some.relist || relist
		})
	case n < 10 && some != nil && solid(some):
		w.say("%s is fenced", some.name)
		w.mu.Lock()
		some.away = true
		w.crash(some)
		some.stay++
		incarnation := some.incarnation()
		w.mu.Unlock()
		some.peer.Fence(incarnation)
		time.AfterFunc(time.Duration(3000+w.rng.IntN(3000))*time.Millisecond, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			some.away, some.live = false, some.ctx.Err() == nil
		})
	case n < 12 && !apiAway:
		w.say("the API server is away, and forgets")
		w.mu.Lock()
		w.away = true
		w.mu.Unlock()
		time.AfterFunc(time.Duration(500+w.rng.IntN(3000))*time.Millisecond, func() {
			w.say("the API server is back")
			w.mu.Lock()
			defer w.mu.Unlock()
			w.away, w.forgotten = false, w.version
			for _, m := range w.members {
				m.relist = true
			}
		})
	case n == 16 && !apiAway && solid(nil):
		w.turn()
	default:
		mode := []string{"", "", "busy", "hangs"}[w.rng.IntN(4)]
		w.say("the receiver: %q", mode)
		w.mu.Lock()
		w.mode = mode
		w.mu.Unlock()
	}
}

// turn removes the second type with its objects, or serves it again.
func (w *world) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = !w.removed
	w.say("the type is removed: %v", w.removed)
	if !w.removed {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		if typeOf(name) == gadgets {
			w.version++
			w.events = append(w.events, record{name: name, version: w.version, deleted: true})
			delete(w.objects, name)
		}
	}
}

// leave ends a member in order, while all else goes on.
func (w *world) leave(m *member) {
	w.mu.Lock()
	m.blind = true
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m.peer.Leave(ctx)
	w.mu.Lock()
	m.live = false
	w.mu.Unlock()
	m.cancel()
	m.peer.Gone()
}

// rage does a minute of deeds, and compares.
func (w *world) rage() {
	var all sync.WaitGroup
	end := w.began.Add(time.Minute)
	seed := w.rng.Uint64()
	all.Go(func() { w.churn(seed, end) })
	all.Go(w.agree)
	w.start("m0")
	w.start("m1")
	time.Sleep(3 * time.Second)
	for time.Now().Before(end) {
		w.deed()
		time.Sleep(time.Duration(100+w.rng.IntN(1500)) * time.Millisecond)
	}
	time.Sleep(8 * time.Second) // what was begun ends by itself
	w.mu.Lock()
	w.mode = ""
	lives := slices.ContainsFunc(slices.Collect(maps.Values(w.members)), func(m *member) bool { return m.live && m.joined })
	w.mu.Unlock()
	if !lives {
		w.start("last")
	}
	w.say("all is well")
	amiss := ""
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if amiss = w.compare(); amiss == "" {
			break
		}
	}
	if amiss != "" {
		w.t.Errorf("after three minutes of peace: %s\n%s", amiss, w.tell(amiss))
	}
	w.mu.Lock()
	w.ended = true
	members := slices.Collect(maps.Values(w.members))
	w.mu.Unlock()
	all.Wait()
	for _, m := range members {
		if m.ctx.Err() == nil {
			m.cancel()
			m.peer.Kill()
		}
	}
}

// compare says what the receiver has wrong.
func (w *world) compare() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var amiss []string
	want := map[resource.ID]resource.Body{}
	for _, r := range w.objects {
		want[typeOf(r.name).ID("a", r.name)] = r.record().Body
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if body, there := w.docs[id]; !there {
			amiss = append(amiss, fmt.Sprintf("missing %s", id))
		} else if body != want[id] {
			amiss = append(amiss, fmt.Sprintf("wrong %s: %s, want %s", id, body, want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.docs)) {
		if _, there := want[id]; !there {
			amiss = append(amiss, fmt.Sprintf("stale %s of version %s", id, w.docs[id]))
		}
	}
	return strings.Join(amiss, "; ")
}
