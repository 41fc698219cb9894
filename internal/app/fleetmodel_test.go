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
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "run only this seed of the model of the fleet")
	modelFirst = flag.Uint64("model.first", 1, "the first seed of the model of the fleet")
	modelSeeds = flag.Uint64("model.seeds", 12, "how many seeds of the model of the fleet are run")
)

// TestAFleetLosesNothingThatItsCheckpointsTell is a storm in virtual time: members of a fleet are killed,
// fenced, told to leave and started, their watches lag, begin anew or lose an event, the API server forgets its
// history, and the receiver refuses, hangs, or applies after as long as 20 s what it was sent by a client that
// has gone, while objects come, change and go, a type is removed and comes back, and resyncs overlap: of
// everything, of one namespace, of what one replica owns. What passes between the members is all real:
// pipelines, checkpoints, searches, senders of resyncs, verifiers. Afterwards the receiver has what the cluster
// has. -model.seed=N replays one.
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
	losses    int    // events that watches have lost
	lossOf    int    // how many come for one that is; 0: none is
	forgotten uint64 // the API server remembers what came after
	away      bool   // the API server
	mode      string // of the receiver: "", busy, hangs or slow
	pace      *rand.Rand
	luck      *rand.Rand // of the watches
	takes     []*take    // as they were asked for
	docs      map[resource.ID]resource.Body
	members   map[string]*member
	agreed    agreed
	gone      map[string]bool // who of these has ended since, and whether by a crash: who has that name now is another
	removed   bool            // the second type is
	ended     bool

	late sync.WaitGroup // requests that the receiver has read
}

// gadgets is the type that is removed. Its objects are those whose names begin with a g.
var gadgets = resource.Type{Group: "example.com", Version: "v1", Resource: "gadgets", Kind: "Gadget", Namespaced: true}

func typeOf(name string) resource.Type {
	if strings.HasPrefix(name, "g") {
		return gadgets
	}
	return pods
}

// namespaceOf is the namespace of an object: those whose names end in 1 are in the second one.
func namespaceOf(name string) string {
	if strings.HasSuffix(name, "1") {
		return "b"
	}
	return "a"
}

// record is one state of an object, or its deletion.
type record struct {
	name    string
	version uint64
	deleted bool
}

func (r record) record() resource.Record {
	return resource.Record{Namespace: namespaceOf(r.name), Name: r.name, ResourceVersion: r.version, Digest: r.version, Body: resource.Body(fmt.Sprint(r.version))}
}

// member is one process.
type member struct {
	w      *world
	name   string
	stay   int
	peer   *app.Peer
	verify *verify.Verifier
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

	lost     map[string]bool // objects whose last event was lost, and that no list has shown since
	owed     map[string]bool // objects of which it has lost something, and which the receiver may have wrong since
	listedAt time.Time       // last
	relisted chan struct{}   // closed when that is handed to the index; nil when nobody waits

	fence     context.Context // ends with its Lease
	fall      context.CancelFunc
	resyncing context.Context // ends when it leaves
	noResyncs context.CancelFunc
}

// Send implements the way to the receiver: what is in flight when the fence falls loses its client.
func (m *member) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	m.w.mu.Lock()
	fence := m.fence
	m.w.mu.Unlock()
	if fence.Err() != nil {
		return wire.Outcome{Kind: wire.Fenced}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(fence, cancel)()
	return m.w.Send(ctx, r)
}

func (m *member) incarnation() string { return fmt.Sprintf("%s-process-%p.%d", m.name, m, m.stay) }

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), client: fake.NewClientset(), format: ring.DefaultFormat(), began: time.Now(),
		version: 100, forgotten: 1, objects: map[string]record{}, docs: map[resource.ID]resource.Body{}, members: map[string]*member{}, gone: map[string]bool{},
		pace: rand.New(rand.NewPCG(seed, 3)), luck: rand.New(rand.NewPCG(seed, 4)), lossOf: fewLosses,
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

// note notes what happens to an object; without a name, to the fleet. All of it that concerns what is amiss
// is told when the test fails.
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
	case "slow":
		takes := time.Duration(w.pace.IntN(20_000)) * time.Millisecond
		w.mu.Unlock()
		defer w.mu.Lock()
		return w.slowly(ctx, r, takes)
	}
	w.receive(r)
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// slowly applies a request after a while, whether or not its client is still there.
func (w *world) slowly(ctx context.Context, r delivery.Request, takes time.Duration) wire.Outcome {
	applied := make(chan struct{})
	w.late.Go(func() {
		defer close(applied)
		time.Sleep(takes)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.receive(r)
	})
	select {
	case <-applied:
		return wire.Outcome{Kind: wire.Delivered, Status: 200}
	case <-ctx.Done():
		return wire.Outcome{Kind: wire.Unknown, Own: true}
	case <-time.After(slowTimeout):
		return wire.Outcome{Kind: wire.Unknown, TimedOut: true, Reason: "no answer"}
	}
}

// slowTimeout is how long a client waits for an answer.
const slowTimeout = 5 * time.Second

// receive applies a request. The caller holds mu.
func (w *world) receive(r delivery.Request) {
	for _, u := range r.Upserts {
		w.note(u.Name, "the receiver gets %s of version %s", u.Name, u.Body)
		w.docs[u.ID] = u.Body
	}
	for _, id := range r.Deletes {
		name := string(id[strings.LastIndexByte(string(id), '/')+1:])
		w.note(name, "the receiver deletes %s", name)
		delete(w.docs, id)
	}
}

// Pages implements the API server's lists, of the present in pages, and of the past.
func (w *world) Pages(ctx context.Context, t resource.Type, o watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	w.mu.Lock()
	if w.away {
		w.mu.Unlock()
		return 0, apierrors.NewServiceUnavailable("away")
	}
	version := o.Exact
	if version == 0 {
		version = w.version
	} else {
		w.say("somebody asks what there was at version %d", o.Exact)
	}
	there := map[string]record{}
	for _, e := range w.events {
		if e.version > version {
			break
		}
		if typeOf(e.name) != t || o.Namespace != "" && o.Namespace != namespaceOf(e.name) {
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
	if o.Exact > 0 {
		return version, page(rs)
	}
	for some := range slices.Chunk(rs, 4) {
		if err := page(some); err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return version, nil
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
			gone = append(gone, watch.Deletion{Namespace: namespaceOf(e.name), Name: e.name, Version: e.version})
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
		m.relist, m.listed, m.solid, m.listedAt = false, true, time.Now(), time.Now()
		clear(m.lost)
	} else {
		events = w.lose(m, events)
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
		w.handed(m)
		return
	}
	for _, e := range events {
		switch typ := typeOf(e.name); {
		case typ == gadgets && (!served || back): // of a watch that has ended, or before its list
		case e.deleted:
			m.peer.Index.Delete(typ, namespaceOf(e.name), e.name, e.version)
		default:
			m.peer.Index.Upsert(typ, e.record())
		}
	}
	m.peer.Index.Bookmark(pods, version)
	if served {
		m.peer.Index.Bookmark(gadgets, version)
	}
}

// take is what a member has asked for, to be its only sender.
type take struct {
	w     *world
	m     *member
	stay  int
	parts []handoff.Span
	ready chan struct{} // closed once it is granted
	lost  chan struct{} // closed once it is over before it was given back
}

func (k *take) covers(t resource.Type, id resource.ID) bool {
	namespace, _, _ := strings.Cut(string(id), "/")
	return slices.ContainsFunc(k.parts, func(p handoff.Span) bool {
		return p.Type == t && namespace >= p.From && (p.Until == "" || namespace < p.Until)
	})
}

func (k *take) overlaps(o *take) bool {
	return slices.ContainsFunc(k.parts, func(p handoff.Span) bool {
		return slices.ContainsFunc(o.parts, func(q handoff.Span) bool {
			return p.Type == q.Type && (p.Until == "" || q.From < p.Until) && (q.Until == "" || p.From < q.Until)
		})
	})
}

// Lost implements [handoff.Hold].
func (k *take) Lost() <-chan struct{} { return k.lost }

// Give implements [handoff.Hold].
func (k *take) Give() {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	k.w.takes = slices.DeleteFunc(k.w.takes, func(o *take) bool { return o == k })
}

// take asks for parts, and waits until they are granted.
func (w *world) take(ctx context.Context, m *member, parts []handoff.Span) (handoff.Hold, error) {
	k := &take{w: w, m: m, parts: parts, ready: make(chan struct{}), lost: make(chan struct{})}
	w.mu.Lock()
	k.stay = m.stay
	w.takes = append(w.takes, k)
	w.mu.Unlock()
	select {
	case <-k.ready:
		return k, nil
	case <-k.lost:
		return nil, membership.ErrLost
	case <-ctx.Done():
		k.Give()
		return nil, ctx.Err()
	}
}

// agreed is who sends what: the members of the ring, but for what some of them have taken.
type agreed struct {
	view  []string
	takes []*take
}

// owner names the only sender of each object.
func (a agreed) owner(f ring.Format) func(resource.Type, resource.ID) string {
	if len(a.view) == 0 {
		return func(resource.Type, resource.ID) string { return "" }
	}
	r, err := ring.New(a.view, f)
	if err != nil {
		panic(err)
	}
	return func(t resource.Type, id resource.ID) string {
		for _, k := range a.takes {
			if k.covers(t, id) {
				return k.m.name
			}
		}
		return r.Owner(r.Partition(string(id)))
	}
}

// called is what the members call for. The caller holds mu.
func (w *world) called() agreed {
	var a agreed
	for name, m := range w.members {
		if m.live && m.joined && !m.away {
			a.view = append(a.view, name)
		}
	}
	slices.Sort(a.view)
	w.takes = slices.DeleteFunc(w.takes, func(k *take) bool {
		over := k.stay != k.m.stay || w.members[k.m.name] != k.m || !slices.Contains(a.view, k.m.name)
		if over {
			close(k.lost)
		}
		return over
	})
	for _, k := range w.takes {
		if !slices.ContainsFunc(a.takes, k.overlaps) {
			a.takes = append(a.takes, k)
		}
	}
	return a
}

// agree hands over whenever members have come or gone, or something is taken or given back, one change after the other,
// until the world ends.
func (w *world) agree() {
	for {
		w.mu.Lock()
		if w.ended {
			for _, k := range w.takes {
				close(k.lost)
			}
			w.takes = nil
			w.mu.Unlock()
			return
		}
		before, gone, away := w.agreed, w.gone, w.away
		after := before
		if !away {
			after = w.called()
		}
		changed := !slices.Equal(after.view, before.view) || !slices.Equal(after.takes, before.takes) || len(gone) > 0
		members := maps.Clone(w.members)
		if changed && !away {
			w.agreed, w.gone = after, map[string]bool{}
		}
		w.mu.Unlock()
		if changed && !away {
			w.say("the ring is %v, with %d takes, gone %v", after.view, len(after.takes), gone)
			w.handOver(members, before, after, gone)
			for _, k := range after.takes {
				if !slices.Contains(before.takes, k) {
					close(k.ready)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// handOver is what membership makes of a change of the ring: who loses drains, speaks and publishes before who gains
// begins.
func (w *world) handOver(members map[string]*member, before, after agreed, gone map[string]bool) {
	was, is := before.owner(w.format), after.owner(w.format)
	var losing sync.WaitGroup
	for _, name := range after.view {
		m := members[name]
		if _, another := gone[name]; another || !slices.Contains(before.view, name) {
			continue
		}
		losing.Go(func() {
			lost := func(t resource.Type, id resource.ID) bool { return was(t, id) == name && is(t, id) != name }
			m.peer.Lose(lost)
			m.peer.Drain(lost)
		})
	}
	losing.Wait()
	var gaining sync.WaitGroup
	for _, name := range after.view {
		m := members[name]
		var takes, yields []handoff.Span
		for _, k := range after.takes {
			if k.m.name == name {
				takes = append(takes, k.parts...)
			} else {
				yields = append(yields, k.parts...)
			}
		}
		m.peer.Publish(after.view, takes, yields)
		gaining.Go(func() {
			mine := func(t resource.Type, id resource.ID) bool { return is(t, id) == name }
			_, another := gone[name]
			gained := func(t resource.Type, id resource.ID) bool {
				return is(t, id) == name && (was(t, id) != name || another)
			}
			m.peer.Gain(m.ctx, mine, gained, func(t resource.Type, id resource.ID) bool { return gained(t, id) && gone[was(t, id)] })
		})
	}
	gaining.Wait()
}

// start starts a process under a name.
func (w *world) start(name string) {
	m := &member{w: w, name: name, live: true, lost: map[string]bool{}, owed: map[string]bool{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.fence, m.fall = context.WithCancel(m.ctx)
	m.resyncing, m.noResyncs = context.WithCancel(m.ctx)
	reads := time.Now().Add(time.Duration(w.rng.IntN(2)*w.rng.IntN(6000)) * time.Millisecond)
	m.peer = app.NewPeer(app.PeerOptions{
		Name: name, Incarnation: m.incarnation(), Maps: w.client.CoreV1(), Sender: m, Pager: w, Leases: w.leases, Settle: 5 * time.Second, Exceptions: w.rng.IntN(8),
		Read: func() bool { return time.Now().After(reads) },
		Take: func(ctx context.Context, parts []handoff.Span) (handoff.Hold, error) { return w.take(ctx, m, parts) },
		Served: func() []resource.Type {
			w.mu.Lock()
			defer w.mu.Unlock()
			if m.unseen {
				return []resource.Type{pods}
			}
			return []resource.Type{pods, gadgets}
		},
	})
	m.verify = w.verifier(m)
	w.say("start %s, which reads for %.2f s", name, time.Until(reads).Seconds())
	w.mu.Lock()
	w.members[name] = m
	w.mu.Unlock()
	m.peer.Begin()
	w.late.Go(func() { _ = m.verify.Run(m.ctx) }) // ends with the member, and returns nothing else
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
	m.fall()
	if slices.Contains(w.agreed.view, m.name) {
		w.gone[m.name] = true
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
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.ContainsFunc(here, func(m *member) bool {
			return m != but && !m.lags && !m.relist && w.whole(m) && time.Since(m.solid) > 12*time.Second
		})
	}
	whole := func(m *member) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.whole(m)
	}
	var some *member
	if len(here) > 0 {
		some = here[w.rng.IntN(len(here))]
	}
	apiAway := w.away
	w.mu.Unlock()
	switch n := w.rng.IntN(20); {
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
	case n < 7 && some != nil && !apiAway && (whole(some) || solid(some)):
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
			some.fence, some.fall = context.WithCancel(some.ctx)
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
	case n >= 17 && some != nil:
		w.resync(some)
	default:
		mode := []string{"", "", "busy", "hangs", "slow"}[w.rng.IntN(5)]
		w.say("the receiver: %q", mode)
		w.mu.Lock()
		w.mode = mode
		w.mu.Unlock()
	}
}

// resync asks a member to send something again: everything, one namespace of a type, or what it owns of both.
func (w *world) resync(m *member) {
	whole := operations.Part{Type: pods, Objects: 1}
	var request operations.Request
	parts := []operations.Part{whole}
	what := "one namespace"
	switch w.rng.IntN(4) {
	case 0:
		what = "everything"
		parts = append(parts, operations.Part{Type: gadgets})
	case 1:
		what = "what it owns"
		request.Scope = operations.Replica
		parts = []operations.Part{{Type: pods, OwnedOnly: true}, {Type: gadgets, OwnedOnly: true}}
	case 2:
		what = "the second half"
		parts = []operations.Part{{Type: pods, From: "b", Namespaces: []string{"b"}}}
	default:
		request.Namespace = []string{"a", "b"}[w.rng.IntN(2)]
	}
	w.say("%s is to send %s again", m.name, what)
	w.late.Go(func() { // Ends when its member leaves, crashes, or has sent everything.
		err := m.peer.Resync(m.resyncing, request, parts)
		w.say("%s has sent %s again: %v", m.name, what, err)
	})
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
	m.noResyncs()
	w.mu.Lock()
	m.blind = true
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m.peer.Leave(ctx)
	w.mu.Lock()
	m.live = false
	if slices.Contains(w.agreed.view, m.name) && !w.gone[m.name] {
		w.gone[m.name] = false
	}
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
	w.lastLosses(w.rng)
	w.say("all is well, after %d lost events", w.losses)
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
	w.late.Wait()
}

// compare says what the receiver has wrong.
func (w *world) compare() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var amiss []string
	want := map[resource.ID]resource.Body{}
	for _, r := range w.objects {
		want[typeOf(r.name).ID(namespaceOf(r.name), r.name)] = r.record().Body
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
