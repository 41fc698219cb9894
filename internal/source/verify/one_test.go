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

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	jobs = resource.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
)

// one is a verifier with its index, and all that a verifier needs of others: a cluster of two types, and a fleet that
// says nothing. What several verifiers do together is in the scenarios of package target.
type one struct {
	t        *testing.T
	index    *index.Index
	verifier *verify.Verifier
	members  []string // of the fleet; all types are assigned to the first one

	mu      sync.Mutex // guards the fields below
	version uint64
	objects map[resource.Type]map[string]resource.Record
	loses   bool  // the watch loses events
	half    bool  // lists lack the second half of each page
	err     error // ends each list
	onPage  func()
	lists   map[resource.Type]int
	relists map[resource.Type]int
	changes []string // that a receiver would get
	told    int
}

// withOne runs a test in virtual time. There are ten objects of each type, and the verifier is the first member.
func withOne(t *testing.T, interval time.Duration, members []string, test func(t *testing.T, o *one)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &one{
			t: t, index: index.New(nil), members: members, version: 100, lists: map[resource.Type]int{}, relists: map[resource.Type]int{},
			objects: map[resource.Type]map[string]resource.Record{pods: {}, jobs: {}},
		}
		listed := time.Now()
		for typ, letter := range map[resource.Type]string{pods: "p", jobs: "j"} {
			for i := range 10 {
				o.put(typ, fmt.Sprint(letter, i))
			}
			o.index.Replace(typ, o.all(typ), o.version)
		}
		o.index.Listen(o)
		o.verifier = verify.New(verify.Options{
			Member: members[0], Index: o.index, Lister: o, Relister: o, Fleet: o, Teller: o, Interval: interval,
			Watched: func() []verify.Watched {
				return []verify.Watched{{Type: jobs, Listed: listed}, {Type: pods, Listed: listed}}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.verifier.Run(ctx) }() // The goroutine ends with ctx.
		synctest.Wait()
		test(t, o)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// put creates or changes an object, and delete deletes one. The watch brings the event at once, or loses it.
func (o *one) put(t resource.Type, name string) {
	o.mu.Lock()
	o.version++
	r := resource.Record{Namespace: "a", Name: name, ResourceVersion: o.version, Digest: o.version, Body: "body"}
	o.objects[t][name] = r
	lost := o.loses
	o.mu.Unlock()
	if !lost {
		o.index.Upsert(t, r)
	}
}

func (o *one) delete(t resource.Type, name string) {
	o.mu.Lock()
	o.version++
	delete(o.objects[t], name)
	version, lost := o.version, o.loses
	o.mu.Unlock()
	if !lost {
		o.index.Delete(t, "a", name, version)
	}
}

// lose lets the watch lose all events of some changes.
func (o *one) lose(changes func()) {
	o.set(func() { o.loses = true })
	changes()
	o.set(func() { o.loses = false })
}

func (o *one) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *one) all(t resource.Type) []resource.Record {
	var all []resource.Record
	for _, name := range slices.Sorted(maps.Keys(o.objects[t])) {
		all = append(all, o.objects[t][name])
	}
	return all
}

// States implements [verify.Lister], in pages of three.
func (o *one) States(_ context.Context, t resource.Type, page func(uint64, []watch.State) error) (uint64, error) {
	o.mu.Lock()
	o.lists[t]++
	version, all, half, failure, onPage := o.version, o.all(t), o.half, o.err, o.onPage
	o.mu.Unlock()
	for some := range slices.Chunk(all, 3) {
		if half {
			some = some[:len(some)/2]
		}
		if onPage != nil {
			onPage()
		}
		var states []watch.State
		for _, r := range some {
			states = append(states, watch.State{Namespace: r.Namespace, Name: r.Name, Version: r.ResourceVersion})
		}
		if err := page(version, states); err != nil {
			return 0, fmt.Errorf("taking a page: %w", err)
		}
		if failure != nil {
			return 0, failure
		}
	}
	return version, nil
}

// Relist implements [verify.Relister].
func (o *one) Relist(_ context.Context, t resource.Type) error {
	o.mu.Lock()
	o.relists[t]++
	all, version := o.all(t), o.version
	o.mu.Unlock()
	o.index.Replace(t, all, version)
	return nil
}

// Members implements [verify.Fleet].
func (o *one) Members() []string { return o.members }

// Assignee implements [verify.Fleet].
func (o *one) Assignee(string) string { return o.members[0] }

// Tell implements [verify.Teller].
func (o *one) Tell(context.Context, verify.Statement) error {
	o.set(func() { o.told++ })
	return nil
}

// Apply implements [index.Listener].
func (o *one) Apply(c index.Change) {
	if c.Cause != index.Initial {
		o.set(func() { o.changes = append(o.changes, fmt.Sprintf("%s deleted=%v", c.Record.Name, c.Deleted)) })
	}
}

// wantRight demands that the index equals the cluster.
func (o *one) wantRight(when string) {
	o.t.Helper()
	for _, t := range []resource.Type{pods, jobs} {
		want, got := map[string]uint64{}, map[string]uint64{}
		o.set(func() {
			for name, r := range o.objects[t] {
				want[name] = r.ResourceVersion
			}
		})
		o.index.All(t, func(_, name string, version uint64) bool { got[name] = version; return true })
		if !maps.Equal(want, got) {
			o.t.Errorf("%s, %s are known as %v, want %v", when, t.Resource, got, want)
		}
	}
}

// did returns how many lists of pods there were, how many times types were listed anew, and what a receiver would
// have got.
func (o *one) did() (lists, relists int, changes []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.changes)
	return o.lists[pods], o.relists[pods] + o.relists[jobs], slices.Clone(o.changes)
}
