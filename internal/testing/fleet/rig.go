package fleet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// Token is the bearer token that the receiver wants of dot-ai's clients.
const Token = "a-token-for-tests"

// Options of a [Rig]. The zero value is usable.
type Options struct {
	// ControlPlane are passed on.
	ControlPlane controlplane.Options
	// Receiver are passed on; the search index is left alone unless a test searches.
	Receiver receiver.Options
	// Filter says what the receiver is to hold.
	Filter workload.Filter
}

// Rig is a control plane with a receiver. Make one with [New].
type Rig struct {
	*controlplane.ControlPlane
	t        testing.TB
	opts     Options
	endpoint string

	mu       sync.Mutex // guards what follows
	server   *http.Server
	receiver *receiver.Server
	serial   int
}

// New starts a control plane and a receiver for one test.
func New(t testing.TB, opts Options) *Rig {
	t.Helper()
	opts.Receiver.IndexOnSearch = true
	if opts.Receiver.DotAIToken == "" {
		opts.Receiver.DotAIToken = Token
	}
	r := &Rig{ControlPlane: controlplane.ForTest(t, opts.ControlPlane), t: t, opts: opts}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.endpoint = ln.Addr().String()
	r.serve(ln)
	t.Cleanup(r.StopReceiver)
	return r
}

// Receiver returns the receiver that runs, or ran last.
func (r *Rig) Receiver() *receiver.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.receiver
}

// ReceiverAddress returns its host:port, which stays the same over restarts.
func (r *Rig) ReceiverAddress() string { return r.endpoint }

func (r *Rig) serve(ln net.Listener) {
	r.t.Helper()
	server, err := receiver.New(r.opts.Receiver)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receiver = server
	r.server = &http.Server{Handler: server.Handler(), ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(ln) }(r.server) // Ends with StopReceiver.
}

// StopReceiver cuts all connections to the receiver and ends it. With a directory in its options it loses nothing that
// it has acknowledged.
func (r *Rig) StopReceiver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return
	}
	if err := r.receiver.Close(); err != nil {
		r.t.Errorf("closing the receiver: %v", err)
	}
	_ = r.server.Close()
	r.server = nil
}

// StartReceiver starts it again at the same address.
func (r *Rig) StartReceiver() {
	r.t.Helper()
	ln, err := net.Listen("tcp", r.endpoint)
	if err != nil {
		r.t.Fatal(err)
	}
	r.serve(ln)
}

// Documents returns what the receiver holds for cluster-whisperer, by ID.
func (r *Rig) Documents() map[resource.ID]workload.Doc {
	docs := make(map[resource.ID]workload.Doc)
	for _, d := range r.Receiver().Documents(receiver.Instances) {
		docs[resource.ID(d.ID)] = workload.Doc{Labels: d.Labels, Annotations: d.Annotations, CreatedAt: d.CreatedAt}
	}
	return docs
}

// Diff compares the receiver with the cluster.
func (r *Rig) Diff(ctx context.Context) (workload.Diff, error) {
	want, err := workload.List(ctx, r.RESTConfig(), r.opts.Filter)
	if err != nil {
		return workload.Diff{}, fmt.Errorf("listing the cluster: %w", err)
	}
	return workload.Compare(want, r.Documents()), nil
}

// WaitEqual waits until the receiver equals the cluster, and fails the test when it does not within the time. Nothing
// may change the cluster meanwhile. It returns how long it took, and how many objects there are.
func (r *Rig) WaitEqual(within time.Duration) (took time.Duration, objects int) {
	r.t.Helper()
	began := time.Now()
	want, err := workload.List(r.t.Context(), r.RESTConfig(), r.opts.Filter)
	if err != nil {
		r.t.Fatalf("listing the cluster: %v", err)
	}
	for {
		diff := workload.Compare(want, r.Documents())
		took = time.Since(began)
		if diff.Empty() {
			return took, len(want)
		}
		if took > within {
			r.t.Fatalf("the receiver does not equal the cluster of %d objects after %v:\n%s", len(want), took.Round(time.Second), diff)
		}
		Pause(200 * time.Millisecond)
	}
}

// Eventually waits until f returns an empty string, which says what is still amiss otherwise.
func Eventually(t testing.TB, within time.Duration, f func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		amiss := f()
		if amiss == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", within, amiss)
		}
		Pause(100 * time.Millisecond)
	}
}

// Pause lets time pass between two looks at another process, for which there is nothing to wait on. A test never rests
// on its length.
func Pause(d time.Duration) { <-time.After(d) }

func (r *Rig) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	return fmt.Sprintf("%s-%d", strings.ToLower("replica"), r.serial-1)
}
