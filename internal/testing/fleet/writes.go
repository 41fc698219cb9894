package fleet

import (
	"context"
	"sync"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// Writes are all writes below a prefix of etcd.
type Writes struct {
	mu     sync.Mutex // guards the fields below
	writes []controlplane.Write
	err    error
}

// FollowWrites keeps all writes below a prefix of etcd, from the first on, until the test ends. It reads etcd
// itself, so neither a restart of the API server nor a slow watch makes it miss any. If each is not nil, one
// goroutine calls it with every write, and none is kept.
func (r *Rig) FollowWrites(prefix string, each func(controlplane.Write)) *Writes {
	w := &Writes{}
	if each == nil {
		each = w.take
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // Ends with the test.
		defer close(ended)
		err := r.Follow(ctx, prefix, 1, each)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w
}

func (w *Writes) take(one controlplane.Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, one)
}

// failed returns why the history is not complete, nil if it is.
func (w *Writes) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// All returns the writes so far, in order. It fails the test when the history is not complete.
func (w *Writes) All(t testing.TB) []controlplane.Write {
	t.Helper()
	if err := w.failed(); err != nil {
		t.Fatalf("following etcd: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]controlplane.Write(nil), w.writes...)
}
