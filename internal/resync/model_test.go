package resync_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// TestReceiversEqualTheClusterWhateverResyncsDo is the model test. A random cluster changes; a watch brings the changes
// late, in order, or loses its place and relists; resyncs of everything, of a type and of a namespace run beside that,
// with lists that are ahead of the watch or behind it, expire and fail; and some memory is too small for all bodies. The
// receiver is slow and refuses some requests. Invariants: for each object the receiver never sees an older state after a
// newer one, its deletion included; a resync that ends well has brought everything back that the receiver had lost; in
// the end the receiver equals the cluster.
func TestReceiversEqualTheClusterWhateverResyncsDo(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { newModel(t, seed).run() })
		})
	}
}

// event is one change of the cluster; its version is the body of the object.
type event struct {
	t       resource.Type
	key     string // namespace/name
	version uint64
	deleted bool
}

type model struct {
	t      *testing.T
	seed   uint64
	index  *index.Index
	engine *resync.Engine
	pipe   *pipeline.Pipeline

	mu   sync.Mutex // guards what follows
	rnd  *rand.Rand
	calm bool // no faults any more
	log  []event
	told int // how much of log the watch has brought

	docs map[resource.ID]uint64 // at the receiver
	seen map[resource.ID]uint64 // no state older than this may follow
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, seed: seed, index: index.New(nil), rnd: rand.New(rand.NewPCG(seed, 11)),
		docs: map[resource.ID]uint64{}, seen: map[resource.ID]uint64{},
	}
	gate := delivery.NewGate(delivery.GateOptions{MaxInFlight: 2, Rand: rand.New(rand.NewPCG(seed, 12))})
	m.pipe = pipeline.New(m, flat{}, gate, pipeline.Options{
		Debounce: 2 * time.Second, MaxWait: 6 * time.Second, FlushInterval: time.Second, MaxUpserts: 4, MaxDeletes: 3,
		MaxBodyBytes: int64(10 + m.rnd.IntN(100)),
	})
	m.index.Listen(m.pipe)
	m.engine = resync.New(m, m.index, resync.Options{Interval: 5 * time.Minute, All: all(pods, nodes)})
	m.engine.SetTarget("default", m.pipe)
	return m
}

// flat gives every upsert a hundred bytes.
type flat struct{}

func (flat) UpsertSize(wire.Item) int { return 100 }
func (flat) Overhead() int            { return 20 }

func (m *model) run() {
	ctx, cancel := context.WithCancel(m.t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = m.pipe.Run(ctx) })
	parts.Go(func() { _ = m.engine.Run(ctx) })
	defer parts.Wait()
	defer cancel()
	synctest.Wait() // both run
	m.relist()
	requests := []resync.Request{
		{Types: []resource.Type{pods, nodes}},
		{Types: []resource.Type{pods}, Label: "pods"},
		{Types: []resource.Type{pods, nodes}, Namespace: "a"},
		{Types: []resource.Type{pods, nodes}, Namespace: resource.ClusterNamespace},
	}
	for range 400 {
		m.change()
		switch n := m.intn(40); {
		case n < 1:
			m.relist()
		case n < 25:
			m.catchUp(m.intn(4))
		case n < 28:
			if _, err := m.engine.Start(requests[m.intn(len(requests))]); err != nil {
				m.t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(m.intn(1000)) * time.Millisecond)
	}
	m.mu.Lock()
	m.calm = true
	m.mu.Unlock()
	m.catchUp(len(m.log))
	time.Sleep(2 * time.Minute)
	m.compare("after the last change")

	// The receiver loses everything; a full resync brings it back.
	m.mu.Lock()
	clear(m.docs)
	m.mu.Unlock()
	op, err := m.engine.Start(requests[0])
	if err != nil {
		m.t.Fatal(err)
	}
	if op, err = m.engine.Wait(ctx, op.ID); err != nil || op.Status != resync.Done || len(op.Failures) > 0 || op.Open != 0 {
		m.t.Errorf("seed %d: %+v, %v", m.seed, op, err)
	}
	m.compare("after a full resync")
	if s := m.pipe.Stats(); s.Dirty != 0 || s.BodyBytes != 0 || s.Quarantined != 0 {
		m.t.Errorf("seed %d: not at rest: %+v", m.seed, s)
	}
}

func (m *model) intn(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rnd.IntN(n)
}

// change changes the cluster.
func (m *model) change() {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := event{t: pods, key: fmt.Sprintf("%c/o%d", 'a'+m.rnd.IntN(2), m.rnd.IntN(12)), version: uint64(len(m.log) + 1)}
	if m.rnd.IntN(4) == 0 {
		e.t, e.key = nodes, fmt.Sprintf("/n%d", m.rnd.IntN(5))
	}
	_, exists := m.at(e.t, len(m.log))[e.key]
	e.deleted = exists && m.rnd.IntN(4) == 0
	m.log = append(m.log, e)
}

// at is the cluster after so many events. The caller holds mu.
func (m *model) at(t resource.Type, events int) map[string]uint64 {
	state := map[string]uint64{}
	for _, e := range m.log[:events] {
		switch {
		case e.t != t:
		case e.deleted:
			delete(state, e.key)
		default:
			state[e.key] = e.version
		}
	}
	return state
}

// records lists a state in the order of an API server.
func records(state map[string]uint64) []resource.Record {
	rs := make([]resource.Record, 0, len(state))
	for _, k := range slices.Sorted(maps.Keys(state)) {
		rs = append(rs, recordOf(k, state[k]))
	}
	return rs
}

func recordOf(key string, version uint64) resource.Record {
	namespace, name := split(key)
	r := rec(namespace, name, version)
	r.ResourceVersion = version
	return r
}

func split(key string) (namespace, name string) {
	i := slices.Index([]byte(key), '/')
	return key[:i], key[i+1:]
}

// catchUp lets the watch bring the next events. Only one goroutine calls it and relist.
func (m *model) catchUp(n int) {
	m.mu.Lock()
	next := m.log[m.told:min(m.told+n, len(m.log))]
	m.told += len(next)
	m.mu.Unlock()
	for _, e := range next {
		namespace, name := split(e.key)
		if e.deleted {
			m.index.Delete(e.t, namespace, name, e.version)
		} else {
			m.index.Upsert(e.t, recordOf(e.key, e.version))
		}
	}
}

// relist is a watch that has lost its place.
func (m *model) relist() {
	m.mu.Lock()
	m.told = len(m.log)
	podList, nodeList := records(m.at(pods, m.told)), records(m.at(nodes, m.told))
	version := uint64(m.told)
	m.mu.Unlock()
	m.index.Replace(pods, podList, version)
	m.index.Replace(nodes, nodeList, version)
}

// Pages implements [resync.Lister]: a consistent list, whose pages take their time, which may expire or fail.
func (m *model) Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	m.mu.Lock()
	rs := records(m.at(t, len(m.log)))
	version := uint64(len(m.log))
	m.mu.Unlock()
	for {
		m.mu.Lock()
		fault, pause := m.rnd.IntN(20), time.Duration(m.rnd.IntN(2000))*time.Millisecond
		calm := m.calm
		m.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		switch {
		case calm:
		case fault < 3:
			return 0, fmt.Errorf("listing: %w", watch.ErrExpired)
		case fault == 3:
			return 0, context.DeadlineExceeded
		}
		size := min(4, len(rs))
		var wanted []resource.Record
		for _, r := range rs[:size] {
			if opts.Namespace == "" || r.Namespace == opts.Namespace {
				wanted = append(wanted, r)
			}
		}
		if err := page(wanted); err != nil {
			return 0, err
		}
		if rs = rs[size:]; len(rs) == 0 {
			return version, nil
		}
	}
}

// Send implements [pipeline.Sender].
func (m *model) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	m.mu.Lock()
	took := time.Duration(m.rnd.IntN(1500)) * time.Millisecond
	fault := m.rnd.IntN(10)
	calm := m.calm
	m.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return wire.Outcome{Kind: wire.Fenced, Own: true}
	}
	if fault == 0 && !calm {
		return wire.Outcome{Kind: wire.Retry, Status: 429, RetryAfter: time.Second, Took: took}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range r.Upserts {
		version, err := strconv.ParseUint(string(u.Body), 10, 64)
		if err != nil {
			m.t.Errorf("seed %d: %s was sent with body %q", m.seed, u.ID, u.Body)
		}
		if version < m.seen[u.ID] {
			m.t.Errorf("seed %d: %s: state %d after %d", m.seed, u.ID, version, m.seen[u.ID])
		}
		m.docs[u.ID], m.seen[u.ID] = version, version
	}
	for _, id := range r.Deletes {
		delete(m.docs, id)
		m.seen[id] = m.deletedAfter(id, m.seen[id])
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200, Took: took}
}

// deletedAfter returns the version of the first deletion of an object since a state: no older one may follow it. The
// caller holds mu.
func (m *model) deletedAfter(id resource.ID, version uint64) uint64 {
	for _, e := range m.log {
		if namespace, name := split(e.key); e.deleted && e.version > version && e.t.ID(namespace, name) == id {
			return e.version
		}
	}
	return version // The same deletion again.
}

func (m *model) compare(when string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := map[resource.ID]uint64{}
	for _, t := range []resource.Type{pods, nodes} {
		for k, version := range m.at(t, len(m.log)) {
			namespace, name := split(k)
			want[t.ID(namespace, name)] = version
		}
	}
	if diff := cmp.Diff(want, m.docs); diff != "" {
		m.t.Errorf("seed %d: receiver %s (-want +got):\n%s", m.seed, when, diff)
	}
}
