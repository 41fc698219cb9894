package reflector_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// storage has the objects of one type in an API server: names and versions.
type storage struct {
	mu      sync.Mutex
	version uint64
	objects map[string]uint64
	watches []*apiwatch.FakeWatcher
	from    []string // the versions from which watches began
	lists   int      // complete lists
}

func (s *storage) list(_ context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(s.version, 10)}}
	if opts.Limit == 1 {
		return list, nil
	}
	s.lists++
	for name, version := range s.objects {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.FormatUint(version, 10)}})
	}
	return list, nil
}

func (s *storage) watch(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := apiwatch.NewFake()
	s.watches, s.from = append(s.watches, w), append(s.from, opts.ResourceVersion)
	return w, nil
}

// last returns the watch that was opened last.
func (s *storage) last() *apiwatch.FakeWatcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches[len(s.watches)-1]
}

// becomes replaces all objects.
func (s *storage) becomes(version uint64, objects map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.objects = version, objects
}

func (s *storage) watched() (from []string, lists int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.from...), s.lists
}

// guarded runs a test with a Guard over a storage with one object, in a bubble.
func guarded(t *testing.T, test func(t *testing.T, g *reflector.Guard, s *storage, held cache.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &storage{version: 100, objects: map[string]uint64{"a": 90}}
		held := cache.NewStore(cache.MetaNamespaceKeyFunc)
		g := reflector.NewGuard("things", reflector.Source{List: s.list, Watch: s.watch}, held, reflector.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); g.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		test(t, g, s, held)
	})
}

func TestAGuardedWatchThatIsSilentIsBegunAgain(t *testing.T) {
	guarded(t, func(t *testing.T, _ *reflector.Guard, s *storage, _ cache.Store) {
		for range 5 { // bookmarks are signs of life
			time.Sleep(time.Minute)
			s.last().Action(apiwatch.Bookmark, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "100"}})
		}
		time.Sleep(reflector.Silence - time.Second)
		if from, _ := s.watched(); len(from) != 1 {
			t.Fatalf("watched from %v, want once", from)
		}
		time.Sleep(2 * time.Second)
		if from, lists := s.watched(); !cmp.Equal([]string{"100", "100"}, from) || lists != 1 {
			t.Errorf("watched from %v after %d lists, want twice from 100 after one", from, lists)
		}
	})
}

func TestAGuardedWatchIsNotBegunFromAVersionOfTheFuture(t *testing.T) {
	guarded(t, func(t *testing.T, _ *reflector.Guard, s *storage, held cache.Store) {
		s.becomes(50, map[string]uint64{"b": 40})
		s.last().Stop()
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff([]string{"b"}, held.ListKeys()); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
		if from, _ := s.watched(); !cmp.Equal([]string{"100", "50"}, from) {
			t.Errorf("watched from %v, want from 100 and then from 50", from)
		}
	})
}

func TestRelistForgetsTheVersion(t *testing.T) {
	guarded(t, func(t *testing.T, g *reflector.Guard, s *storage, held cache.Store) {
		s.becomes(1000, map[string]uint64{"b": 40})
		g.Relist()
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff([]string{"b"}, held.ListKeys()); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
	})
}
