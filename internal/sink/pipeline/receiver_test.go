package pipeline_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

func id(name string) resource.ID { return pods.ID("a", name) }

// answer is the receiver's reaction to one request.
type answer struct {
	outcome wire.Outcome
	took    time.Duration
	apply   bool          // whether the request takes effect
	late    time.Duration // how long after the answer the request takes effect
}

var delivered = answer{outcome: wire.Outcome{Kind: wire.Delivered, Status: 200}, apply: true, took: 10 * time.Millisecond}

// answering gives these answers to the first requests, and delivers all others.
func answering(first ...answer) func(int, delivery.Request) answer {
	return func(n int, _ delivery.Request) answer {
		if n < len(first) {
			return first[n]
		}
		return delivered
	}
}

// receiver is a Sender over a plain map. It notes when two requests hold one ID at the same time.
type receiver struct {
	t      *testing.T
	decide func(n int, r delivery.Request) answer

	mu       sync.Mutex // guards everything below
	n        int
	docs     map[resource.ID]resource.Body
	inFlight map[resource.ID]bool
	running  int
	most     int      // requests at once
	log      []string // requests as text, with the second in which they began
	began    time.Time
	late     sync.WaitGroup
}

func newReceiver(t *testing.T) *receiver {
	return &receiver{
		t: t, docs: map[resource.ID]resource.Body{}, inFlight: map[resource.ID]bool{}, began: time.Now(),
		decide: func(int, delivery.Request) answer { return delivered },
	}
}

func (r *receiver) Send(ctx context.Context, req delivery.Request) wire.Outcome {
	ids := slices.Clone(req.Deletes)
	for _, u := range req.Upserts {
		ids = append(ids, u.ID)
	}
	r.mu.Lock()
	n := r.n
	r.n++
	r.running++
	r.most = max(r.most, r.running)
	if (len(req.Upserts) == 0) == (len(req.Deletes) == 0) {
		r.t.Errorf("request %d has %d upserts and %d deletes", n, len(req.Upserts), len(req.Deletes))
	}
	for _, id := range ids {
		if r.inFlight[id] {
			r.t.Errorf("request %d: %s is in another request at the same time", n, id)
		}
		r.inFlight[id] = true
	}
	r.log = append(r.log, r.text(req))
	a := r.decide(n, req)
	r.mu.Unlock()

	select {
	case <-time.After(a.took):
	case <-ctx.Done():
		a.outcome = wire.Outcome{Kind: wire.Unknown, Own: true, Reason: "cancelled"}
	}
	if a.late > 0 {
		r.late.Go(func() {
			time.Sleep(a.late)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.apply(req)
		})
		a.apply = false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	for _, id := range ids {
		delete(r.inFlight, id)
	}
	if a.apply {
		r.apply(req)
	}
	a.outcome.Took = a.took
	return a.outcome
}

func (r *receiver) apply(req delivery.Request) {
	for _, id := range req.Deletes {
		delete(r.docs, id)
	}
	for _, u := range req.Upserts {
		r.docs[u.ID] = u.Body
	}
}

func (r *receiver) text(req delivery.Request) string {
	var parts []string
	for _, u := range req.Upserts {
		parts = append(parts, "+"+u.Name+"="+string(u.Body))
	}
	for _, id := range req.Deletes {
		parts = append(parts, "-"+string(id)[strings.LastIndex(string(id), "/")+1:])
	}
	slices.Sort(parts)
	return fmt.Sprintf("%gs %s", time.Since(r.began).Round(100*time.Millisecond).Seconds(), strings.Join(parts, " "))
}

func (r *receiver) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *receiver) documents() map[resource.ID]resource.Body {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.docs)
}

// flatSize gives every upsert a hundred bytes.
type flatSize struct{}

func (flatSize) UpsertSize(wire.Item) int { return 100 }
func (flatSize) Overhead() int            { return 20 }

// rig is a pipeline behind an index, with a receiver in front, in a synctest bubble.
type rig struct {
	t       *testing.T
	index   *index.Index
	p       *pipeline.Pipeline
	rcv     *receiver
	version uint64
	start   func()
	stop    func()
}

func newRig(t *testing.T, opts pipeline.Options) *rig {
	t.Helper()
	r := idleRig(t, opts)
	r.start()
	return r
}

// idleRig is a rig that sends nothing before it is started.
func idleRig(t *testing.T, opts pipeline.Options) *rig {
	t.Helper()
	if opts.Debounce == 0 {
		opts.Debounce, opts.MaxWait = 10*time.Second, time.Minute
	}
	if opts.FlushInterval == 0 {
		opts.FlushInterval = 5 * time.Second
	}
	r := &rig{t: t, index: index.New(nil), rcv: newReceiver(t), version: 100}
	breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 2, MaxBytes: 1 << 20})
	r.p = pipeline.New(r.rcv, flatSize{}, breaker, opts)
	r.index.Listen(r.p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	started := false
	r.start = func() {
		started = true
		go func() { done <- r.p.Run(ctx) }()
	}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if !started {
			return
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		r.rcv.late.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

func record(name, body string, version uint64) resource.Record {
	digest := uint64(1)
	for _, c := range body {
		digest = digest*31 + uint64(c)
	}
	return resource.Record{Namespace: "a", Name: name, Digest: digest, ResourceVersion: version, Body: resource.Body(body)}
}

// list makes the objects known and, with them, the type: later changes are live.
func (r *rig) list(nameBody ...string) {
	var rs []resource.Record
	for i := 0; i < len(nameBody); i += 2 {
		r.version++
		rs = append(rs, record(nameBody[i], nameBody[i+1], r.version))
	}
	r.index.Replace(pods, rs, r.version)
}

func (r *rig) put(name, body string) {
	r.version++
	r.index.Upsert(pods, record(name, body, r.version))
}

func (r *rig) del(name string) {
	r.version++
	r.index.Delete(pods, "a", name, r.version)
}
