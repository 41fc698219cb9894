package fleet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// Token is the bearer token that the receiver demands of dot-ai's clients.
const Token = "a-token-for-tests"

// Formats of the receiver; the values of ENDPOINT_FORMAT.
const (
	ClusterWhisperer = "cluster-whisperer"
	DotAI            = "dot-ai"
)

// Options are the options of a [Rig]. The zero value is usable.
type Options struct {
	// ControlPlane is passed on to the control plane.
	ControlPlane controlplane.Options
	// Receiver is passed on to the receiver; the search index is left alone unless a test searches.
	Receiver receiver.Options
	// Filter says which objects the receiver should hold.
	Filter workload.Filter
	// Format is the format of the replicas' requests. Empty means [ClusterWhisperer].
	Format string
}

// Rig is a control plane with a receiver. Make one with [New].
type Rig struct {
	*controlplane.ControlPlane
	*state
	t      testing.TB
	format string
}

// state is the state that the views of one rig share.
type state struct {
	opts     Options
	endpoint string

	mu        sync.Mutex // guards the fields below
	server    *http.Server
	receivers []*receiver.Server // the last one runs, or ran last
	serial    int
}

// New starts a control plane and a receiver for one test.
func New(t testing.TB, opts Options) *Rig {
	t.Helper()
	opts.Receiver.IndexOnSearch = true
	if opts.Receiver.DotAIToken == "" {
		opts.Receiver.DotAIToken = Token
	}
	if opts.Format == "" {
		opts.Format = ClusterWhisperer
	}
	r := &Rig{ControlPlane: controlplane.ForTest(t, opts.ControlPlane), state: &state{opts: opts}, t: t, format: opts.Format}
	r.endpoint = freeAddress(t)
	r.StartReceiver()
	t.Cleanup(r.StopReceiver)
	return r
}

// In returns a view of the rig for a subtest: a failure there fails the subtest, and a process that is started there
// ends with it.
func (r *Rig) In(t testing.TB) *Rig {
	return &Rig{ControlPlane: r.ControlPlane, state: r.state, t: t, format: r.format}
}

// Speaking returns a view of the rig in another format, which the same receiver understands. Replicas that are
// started there speak it, and only documents of that format count as held. Replicas of two formats need rings of
// their own.
func (r *Rig) Speaking(format string) *Rig {
	return &Rig{ControlPlane: r.ControlPlane, state: r.state, t: r.t, format: format}
}

// Receiver returns the receiver that runs, or ran last.
func (r *Rig) Receiver() *receiver.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.receivers[len(r.receivers)-1]
}

// Receivers returns the receiver of each start, the present one last. Those that have ended still have their
// records.
func (r *Rig) Receivers() []*receiver.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*receiver.Server(nil), r.receivers...)
}

// ReceiverAddress returns its host:port, which stays the same over restarts.
func (r *Rig) ReceiverAddress() string { return r.endpoint }

// SyncURL returns the URL to which replicas send, in the rig's format.
func (r *Rig) SyncURL() string {
	if r.format == DotAI {
		return "http://" + r.endpoint + "/api/v1/resources/sync"
	}
	return "http://" + r.endpoint + "/api/v1/instances/sync"
}

// StopReceiver ends the receiver, and cuts the requests that it holds. An answer in its records has reached the
// client. Requests that it has not read have no record; [Rig.Unseen] counts them. With a directory in its options,
// the receiver loses nothing that it has acknowledged.
func (r *Rig) StopReceiver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return
	}
	if err := r.receivers[len(r.receivers)-1].Close(); err != nil {
		r.t.Errorf("closing the receiver: %v", err)
	}
	// The handlers have returned, but an answer may still be in its buffer: Shutdown waits until it is written.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = r.server.Shutdown(ctx)
	_ = r.server.Close() // This leaves a connection that never sent a request.
	r.server = nil
}

// StartReceiver starts the receiver again at the same address.
func (r *Rig) StartReceiver() {
	r.t.Helper()
	ln, err := net.Listen("tcp", r.endpoint)
	if err != nil {
		r.t.Fatal(err)
	}
	server, err := receiver.New(r.opts.Receiver)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receivers = append(r.receivers, server)
	r.server = &http.Server{Handler: server.Handler(), ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(ln) }(r.server) // Ends with StopReceiver.
}

// SetFaults replaces the receiver's rules. Without any it is well again, but still holds requests of earlier rules.
func (r *Rig) SetFaults(rules ...receiver.Rule) {
	r.t.Helper()
	if err := r.Receiver().SetFaults(rules...); err != nil {
		r.t.Fatal(err)
	}
}

// Eventually waits until f returns an empty string. Otherwise f returns the reason to wait.
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

// Pause lets time pass between two looks at another process that sends no signal to wait for. No test depends on its
// length.
func Pause(d time.Duration) { <-time.After(d) }

func (r *Rig) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	return fmt.Sprintf("replica-%d", r.serial-1)
}
