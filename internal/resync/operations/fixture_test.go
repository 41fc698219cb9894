package operations_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

// mayLeak are goroutines that tests against a real API server leave behind: those of connections.
var mayLeak []goleak.Option

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, mayLeak...) }

// configMap is the name of the ConfigMap of the tests' ring.
const configMap = "r-resyncs"

// catalog is every member's knowledge of the cluster.
type catalog struct {
	mu         sync.Mutex
	types      []resource.Type
	objects    map[resource.Type]int
	namespaces map[resource.Type]map[string]int
}

func (c *catalog) Types() []resource.Type {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.types)
}

func (c *catalog) Objects(t resource.Type, namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if namespace != "" {
		return c.namespaces[t][namespace]
	}
	return c.objects[t]
}

func (c *catalog) Namespaces(t resource.Type) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.namespaces[t])
}

// step is a part that a member has begun or ended.
type step struct {
	member, op, part string
	namespaces       []string
	err              error
	ended            bool
}

// fixture is one engine, or two, over a server, with a view that a test writes. Each part takes a second, unless behave
// says otherwise. The scenarios of package target have members that come and go.
type fixture struct {
	t       *testing.T
	server  *configmaps.Server
	catalog *catalog
	engines map[string]*member

	mu     sync.Mutex // guards what follows
	view   []string
	steps  []step
	behave func(ctx context.Context, member string, op operations.Request, part operations.Part, progress func(offered, open int)) error
	repair func(member string, op operations.Request, part operations.Part) operations.Repair // nil: nothing
}

// member is an engine with its way to the server.
type member struct {
	*operations.Engine
	f      *fixture
	name   string
	client *configmaps.Client            // not used with a real API server
	api    corev1client.ConfigMapsGetter // client, unless a test replaces it
	cancel context.CancelFunc
	ended  chan error
	ready  bool
	held   []operations.Part // guarded by fixture.mu
}

func (f *fixture) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Members implements [operations.View].
func (f *fixture) Members() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.view)
}

// Take implements [operations.Runner].
func (n *member) Take(_ context.Context, _ operations.Request, parts []operations.Part) (operations.Batch, error) {
	objects := 0
	for _, p := range parts {
		objects += p.Objects
	}
	if len(parts) > 1 && objects > operations.PartObjects {
		n.f.t.Errorf("%s takes %d parts with %d objects at once", n.name, len(parts), objects)
	}
	n.f.locked(func() { n.held = parts })
	return n, nil
}

// End implements [operations.Batch].
func (n *member) End() { n.f.locked(func() { n.held = nil }) }

// Run implements [operations.Batch].
func (n *member) Run(ctx context.Context, op operations.Request, part operations.Part, progress func(offered, open int)) (operations.Repair, error) {
	f := n.f
	s := step{member: n.name, op: op.Label, part: part.Key, namespaces: part.Namespaces}
	f.mu.Lock()
	if !slices.ContainsFunc(n.held, func(p operations.Part) bool { return p.Key == part.Key }) {
		f.t.Errorf("%s runs %s without holding it", n.name, part.Key)
	}
	f.steps = append(f.steps, s)
	behave, repair := f.behave, f.repair
	f.mu.Unlock()
	s.err = behave(ctx, n.name, op, part, progress)
	s.ended = true
	f.locked(func() { f.steps = append(f.steps, s) })
	if repair == nil {
		return operations.Repair{}, s.err
	}
	return repair(n.name, op, part), s.err
}

// log returns the begun and ended parts, in order.
func (f *fixture) log() []step {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.steps)
}

// takes simulates a part that lasts for d.
func takes(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a receiver: %w", ctx.Err())
	}
}

// newFixture starts engines over n types of 10 objects each.
func newFixture(t *testing.T, types int, names ...string) *fixture {
	f := &fixture{t: t, server: configmaps.NewServer(), engines: map[string]*member{}, catalog: &catalog{
		objects: map[resource.Type]int{}, namespaces: map[resource.Type]map[string]int{},
	}}
	f.behave = func(ctx context.Context, _ string, _ operations.Request, part operations.Part, progress func(offered, open int)) error {
		progress(part.Objects, part.Objects)
		err := takes(ctx, time.Second)
		if err == nil {
			progress(part.Objects, 0)
		}
		return err
	}
	for i := range types {
		typ := resource.Type{Version: "v1", Resource: fmt.Sprintf("things%d", i), Kind: "Thing"}
		f.catalog.types = append(f.catalog.types, typ)
		f.catalog.objects[typ] = 10
	}
	f.view = slices.Clone(names)
	for _, name := range names {
		f.start(name)
	}
	if len(names) > 0 {
		synctest.Wait()
	}
	return f
}

// see replaces the view of all engines.
func (f *fixture) see(names ...string) { f.locked(func() { f.view = names }) }

// start runs an engine.
func (f *fixture) start(name string, change ...func(*operations.Options, *member)) *member {
	f.t.Helper()
	n := &member{f: f, name: name, client: f.server.Client(name), ended: make(chan error, 1), ready: true}
	opts := operations.Options{Namespace: "ns", Ring: "r", Member: name, Format: quick(), Log: logr.Discard(), Ready: func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return n.ready
	}}
	n.api = n.client
	for _, c := range change {
		c(&opts, n)
	}
	var err error
	if n.Engine, err = operations.New(n.api, n, f.catalog, f, opts); err != nil {
		f.t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	n.cancel = cancel
	go func() { n.ended <- n.Engine.Run(ctx) }()
	f.engines[name] = n
	f.t.Cleanup(n.stop)
	return n
}

func (n *member) stop() {
	n.cancel()
	if err, ok := <-n.ended; ok && err != nil {
		n.f.t.Errorf("Run of %s: %v", n.name, err)
	}
	select {
	case <-n.ended:
	default:
		close(n.ended)
	}
}

// ready makes all members ready, or not.
func (f *fixture) ready(yes bool) {
	f.locked(func() {
		for _, n := range f.engines {
			n.ready = yes
		}
	})
}

func (f *fixture) full() operations.Request { return operations.Request{Types: f.catalog.Types()} }

func (f *fixture) begin(name string, r operations.Request) operations.Operation {
	f.t.Helper()
	o, err := f.engines[name].Start(f.t.Context(), r)
	if err != nil {
		f.t.Fatalf("Start on %s: %v", name, err)
	}
	return o
}

// wait waits for the end as one member sees it, for an hour.
func (f *fixture) wait(name, id string) operations.Operation {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Hour)
	defer cancel()
	o, err := f.engines[name].Wait(ctx, id)
	if err != nil {
		f.t.Fatalf("Wait on %s: %v; it knows %+v", name, err, o)
	}
	return o
}

// done counts by part how often the part was sent to its end, and by which members.
func (f *fixture) done() (times map[string]int, by map[string][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	times, by = map[string]int{}, map[string][]string{}
	for _, s := range f.steps {
		if s.ended && s.err == nil {
			times[s.part]++
			by[s.member] = append(by[s.member], s.part)
		}
	}
	return times, by
}

// wantOnce checks that every part was sent to the end exactly once.
func (f *fixture) wantOnce(parts int) {
	f.t.Helper()
	times, _ := f.done()
	for part, n := range times {
		if n != 1 {
			f.t.Errorf("%s was sent %d times, want once", part, n)
		}
	}
	if len(times) != parts {
		f.t.Errorf("%d parts were sent, want %d", len(times), parts)
	}
}
