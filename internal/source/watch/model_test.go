package watch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// model is a Sink that keeps the reported objects and checks each call against the server's history.
type model struct {
	t      *testing.T
	server *watchtest.Server
	mu     sync.Mutex
	busy   map[resource.Type]bool
	state  map[resource.Type]map[string]uint64
}

// call marks a type as busy while f runs: calls for one type never overlap.
func (m *model) call(t resource.Type, f func(state map[string]uint64)) {
	m.mu.Lock()
	if m.busy[t] {
		m.t.Errorf("two calls for %s overlap", t)
	}
	m.busy[t] = true
	m.mu.Unlock()
	time.Sleep(time.Millisecond) // in the bubble: lets other goroutines run in the middle of a call
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state[t] == nil {
		m.state[t] = map[string]uint64{}
	}
	f(m.state[t])
	m.busy[t] = false
}

func (m *model) Replace(t resource.Type, rs []resource.Record, version uint64) {
	m.call(t, func(state map[string]uint64) {
		clear(state)
		for _, r := range rs {
			state[r.Namespace+"/"+r.Name] = r.ResourceVersion
		}
		if diff := cmp.Diff(m.server.At(t.GVR(), version), state); diff != "" {
			m.t.Errorf("the list of %s is not the state at its version %d (-want +got):\n%s", t, version, diff)
		}
	})
}

func (m *model) Upsert(t resource.Type, r resource.Record) {
	m.call(t, func(state map[string]uint64) {
		key := r.Namespace + "/" + r.Name
		if r.ResourceVersion < state[key] {
			m.t.Errorf("%s %s went back from version %d to %d", t, key, state[key], r.ResourceVersion)
		}
		state[key] = r.ResourceVersion
	})
}

func (m *model) Delete(t resource.Type, namespace, name string, version uint64) {
	m.call(t, func(state map[string]uint64) {
		key := namespace + "/" + name
		if _, exists := m.server.At(t.GVR(), version)[key]; exists {
			m.t.Errorf("%s %s is deleted at version %d, at which it exists", t, key, version)
		}
		delete(state, key)
	})
}

func (m *model) Leave(t resource.Type, namespace, name string, version uint64) {
	m.t.Errorf("%s %s/%s leaves at version %d, though everything is selected", t, namespace, name, version)
}

func (m *model) Bookmark(resource.Type, uint64) {}

// TestSinkEqualsTheServerAfterAnyHistory runs random histories of changes, faults and wishes and checks:
//   - calls for one type never overlap, also over Set;
//   - every list is the exact state at its version;
//   - an object never goes back to an older version within a life of its watch, and is never deleted while it
//     exists (I5);
//   - when the faults are over, the Sink and the server have the same objects of every wanted type (I4).
func TestSinkEqualsTheServerAfterAnyHistory(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func history(t *testing.T, rng *rand.Rand) {
	all := []resource.Type{pods, widgets, nodes}
	server := watchtest.New()
	sink := &model{t: t, server: server, busy: map[resource.Type]bool{}, state: map[resource.Type]map[string]uint64{}}
	m := watch.New(server, sink, watch.Options{Starts: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.Set(all)
	for range 300 {
		typ := all[rng.IntN(len(all))]
		gvr, name := typ.GVR(), fmt.Sprintf("o%d", rng.IntN(8))
		switch rng.IntN(16) {
		case 0, 1, 2, 3, 4, 5:
			server.Put(gvr, meta("ns", name))
		case 6, 7:
			server.Delete(gvr, "ns", name)
		case 8:
			server.Bookmark(gvr)
		case 9:
			server.Compact()
		case 10:
			server.Silence(gvr)
		case 11:
			server.EndWatches(gvr)
		case 12:
			server.Fail(gvr, []error{forbidden(typ), unavailable(), refused(), nil, nil, nil}[rng.IntN(6)])
		case 13:
			server.Hang(gvr, rng.IntN(3) == 0)
		case 14:
			m.Set(all[:1+rng.IntN(len(all))])
		case 15:
			time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
		}
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
		}
	}
	for _, typ := range all {
		server.Hang(typ.GVR(), false)
		server.Fail(typ.GVR(), nil)
	}
	m.Set(all)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	sink.mu.Lock()
	for _, typ := range all {
		if diff := cmp.Diff(server.At(typ.GVR(), server.Version()), maps.Clone(sink.state[typ])); diff != "" {
			t.Errorf("%s at the server and at the Sink (-want +got):\n%s", typ, diff)
		}
	}
	sink.mu.Unlock()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
