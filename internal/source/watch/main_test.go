package watch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func TestMain(m *testing.M) {
	// The second handler delays errors by the time since the last one, process-wide, but a new bubble goes back in
	// time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	goleak.VerifyTestMain(m, mayLeak...)
}

// mayLeak names goroutines that client-go keeps for the life of the process when it talks to a real server.
var mayLeak []goleak.Option

var (
	pods    = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	widgets = resource.Type{Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Widget", Namespaced: true}
	nodes   = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
)

// sink records its calls for each type, one line a call.
type sink struct {
	mu    sync.Mutex
	lines map[string][]string
	block chan struct{} // when set, every Upsert waits for its end
}

func (s *sink) add(t resource.Type, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[string][]string{}
	}
	s.lines[t.String()] = append(s.lines[t.String()], fmt.Sprintf(format, args...))
}

func (s *sink) Replace(t resource.Type, rs []resource.Record, version uint64) {
	names := make(map[string]uint64, len(rs))
	for _, r := range rs {
		names[r.Namespace+"/"+r.Name] = r.ResourceVersion
	}
	s.add(t, "replace %v at %d", names, version)
}

func (s *sink) Upsert(t resource.Type, r resource.Record) {
	if s.block != nil {
		<-s.block
	}
	s.add(t, "upsert %s/%s at %d as %s", r.Namespace, r.Name, r.ResourceVersion, t.Kind)
}

func (s *sink) Delete(t resource.Type, namespace, name string, version uint64) {
	s.add(t, "delete %s/%s at %d", namespace, name, version)
}

func (s *sink) Leave(t resource.Type, namespace, name string, version uint64) {
	s.add(t, "leave %s/%s at %d", namespace, name, version)
}

func (s *sink) Bookmark(t resource.Type, version uint64) { s.add(t, "bookmark %d", version) }

// take returns the recorded calls of a type since the last call.
func (s *sink) take(t resource.Type) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines[t.String()]
	delete(s.lines, t.String())
	return lines
}

// bubble is a Manager that runs in a synctest bubble over a server in memory.
type bubble struct {
	*watch.Manager
	server *watchtest.Server
	sink   *sink
}

// inBubble runs a test with a Manager that wants the types, and checks that no goroutine is left after it.
func inBubble(t *testing.T, opts watch.Options, prepare func(*watchtest.Server), test func(*testing.T, *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{server: watchtest.New(), sink: &sink{}}
		prepare(b.server)
		b.Manager = watch.New(b.server, b.sink, opts)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		}()
		test(t, b)
	})
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u1"}
}
