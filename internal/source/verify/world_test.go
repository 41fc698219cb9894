package verify_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	jobs = resource.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
)

// world is a cluster with some members, each with a watch, an index and a verifier of its own.
type world struct {
	t       *testing.T
	server  *watchtest.Server
	mu      sync.Mutex // guards the fields below
	members map[string]*member
	said    map[string]verify.Statement
}

// member is one replica. Its own view of the server decides which events its watches lose.
type member struct {
	w        *world
	name     string
	index    *index.Index
	watches  *watch.Manager
	verifier *verify.Verifier
	lister   *lister
	cut      *cut
	changes  []string
	tells    int // how many statements it has told the others
}

// lister can be made to answer incompletely, or not at all.
type lister struct {
	*watch.Lister
	mu     sync.Mutex // guards the fields below
	err    error
	half   bool
	lists  map[string]int
	onPage func()
}

func (l *lister) States(ctx context.Context, t resource.Type, page func(uint64, []watch.State) error) (uint64, error) {
	l.mu.Lock()
	err, half, onPage := l.err, l.half, l.onPage
	l.lists[t.Resource]++
	l.mu.Unlock()
	version, failed := l.Lister.States(ctx, t, func(version uint64, states []watch.State) error {
		if half {
			states = states[:len(states)/2]
		}
		if onPage != nil {
			onPage()
		}
		if err := page(version, states); err != nil {
			return fmt.Errorf("taking a page: %w", err)
		}
		return err
	})
	if failed != nil {
		return 0, fmt.Errorf("listing: %w", failed)
	}
	return version, nil
}

// cut stands between a watch and its index, and loses the events that lose names.
type cut struct {
	*index.Index
	mu   sync.Mutex // guards lose
	lose func(name string) bool
}

func (c *cut) loses(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lose != nil && c.lose(name)
}

func (c *cut) Upsert(t resource.Type, r resource.Record) {
	if !c.loses(r.Name) {
		c.Index.Upsert(t, r)
	}
}

func (c *cut) Delete(t resource.Type, namespace, name string, version uint64) {
	if !c.loses(name) {
		c.Index.Delete(t, namespace, name, version)
	}
}

func (m *member) lose(f func(name string) bool) {
	m.cut.mu.Lock()
	defer m.cut.mu.Unlock()
	m.cut.lose = f
}

// Apply records the changes that a receiver would get.
func (m *member) Apply(c index.Change) {
	if c.Cause == index.Initial {
		return
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.changes = append(m.changes, fmt.Sprintf("%s deleted=%v", c.Record.Name, c.Deleted))
}

// Members implements [verify.Fleet].
func (w *world) Members() []string { return slices.Sorted(maps.Keys(w.members)) }

// Assignee implements [verify.Fleet].
func (w *world) Assignee(name string) string {
	all := w.Members()
	return all[xxhash.Sum64String(name)%uint64(len(all))]
}

// teller passes on the statements of one member.
type teller struct{ m *member }

func (t teller) Tell(_ context.Context, s verify.Statement) error {
	text, packed, err := s.Encode()
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	heard, err := verify.Decode(text, packed)
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	t.m.w.mu.Lock()
	t.m.tells++
	t.m.w.mu.Unlock()
	for _, o := range t.m.w.members {
		o.verifier.Hear(t.m.name, heard, true)
	}
	return nil
}

// inWorld runs a test in virtual time, with as many members as there are names.
func inWorld(t *testing.T, interval time.Duration, names []string, prepare func(*watchtest.Server), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, server: watchtest.New(), members: map[string]*member{}, said: map[string]verify.Statement{}}
		prepare(w.server)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, name := range names {
			m := &member{w: w, name: name, index: index.New(nil)}
			m.cut = &cut{Index: m.index}
			m.index.Listen(m)
			m.watches = watch.New(w.server, m.cut, watch.Options{StaleAfter: 100 * time.Hour})
			m.lister = &lister{Lister: watch.NewLister(w.server, resource.Selection{}, watch.NamespaceFilter{}), lists: map[string]int{}}
			m.verifier = verify.New(verify.Options{
				Member: name, Index: m.index, Lister: m.lister, Relister: m.watches, Fleet: w, Teller: teller{m}, Interval: interval,
				Watched: func() []verify.Watched {
					var all []verify.Watched
					for _, s := range m.watches.Status() {
						if s.Phase == watch.Synced {
							all = append(all, verify.Watched{Type: s.Type, Listed: s.ListedAt})
						}
					}
					return all
				},
			})
			w.members[name] = m
			m.watches.Set([]resource.Type{pods, jobs})
		}
		for _, m := range w.members {
			all.Go(func() { _ = m.watches.Run(ctx) })
			all.Go(func() { _ = m.verifier.Run(ctx) })
		}
		defer all.Wait()
		defer cancel()
		synctest.Wait()
		test(t, w)
	})
}

func put(s *watchtest.Server, t resource.Type, names ...string) {
	for _, name := range names {
		s.Put(t.GVR(), metav1.ObjectMeta{Namespace: "a", Name: name, UID: "u", Labels: map[string]string{"v": fmt.Sprint(s.Version())}})
	}
}

func some(s *watchtest.Server) {
	for i := range 10 {
		put(s, pods, fmt.Sprint("p", i))
		put(s, jobs, fmt.Sprint("j", i))
	}
}

// wantRight demands that every member's index equals the server.
func (w *world) wantRight(when string) {
	w.t.Helper()
	for _, name := range w.Members() {
		for _, typ := range []resource.Type{pods, jobs} {
			want := w.server.At(typ.GVR(), w.server.Version())
			got := map[string]uint64{}
			w.members[name].index.All(typ, func(namespace, n string, version uint64) bool {
				got[namespace+"/"+n] = version
				return true
			})
			if !maps.Equal(want, got) {
				w.t.Errorf("%s, %s knows %s as %v, want %v", when, name, typ.Resource, got, want)
			}
		}
	}
}

func (m *member) took() []string {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	changes := m.changes
	m.changes = nil
	slices.Sort(changes)
	return changes
}

func (m *member) lists(t resource.Type) int {
	m.lister.mu.Lock()
	defer m.lister.mu.Unlock()
	return m.lister.lists[t.Resource]
}

func (m *member) relists(t resource.Type) int {
	for _, s := range m.watches.Status() {
		if s.Type == t {
			return s.Lists - 1
		}
	}
	return -1
}
