package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// encoder is a Sender that writes bodies and measures them.
type encoder struct {
	t      *testing.T
	format wire.Format
	limit  int

	mu      sync.Mutex // guards what follows
	deleted map[resource.ID]bool
	largest int
}

func (e *encoder) Send(_ context.Context, r delivery.Request) wire.Outcome {
	body, err := e.format.EncodeDeletes(r.Deletes)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.t.Errorf("encoding %q: %v", r.Deletes, err)
	}
	if len(body) > e.limit && len(r.Deletes) > 1 {
		e.t.Errorf("%d deletions take %d bytes, want at most %d: %q", len(r.Deletes), len(body), e.limit, r.Deletes)
	}
	e.largest = max(e.largest, len(body))
	for _, id := range r.Deletes {
		e.deleted[id] = true
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200, Bytes: len(body)}
}

// nasty returns a name as RBAC allows it: any character but a slash and a percent sign. Each alphabet is one that
// some escape makes long.
func nasty(rnd *rand.Rand, n int) string {
	alphabets := []string{"abcdefghij-.", `"\"\`, "\x00\x01\x1f\n\t\r\x7f", "äöüß", "日本語の名前", "🙈🐳𝄞", "\xff\xfe\xc3", "<>&\u2028\u2029:"}
	letters := []rune(alphabets[rnd.IntN(len(alphabets))])
	raw := alphabets[6]
	var name []byte
	for len(name) < n {
		if rnd.IntN(4) == 0 {
			name = append(name, raw[rnd.IntN(len(raw))])
			continue
		}
		name = append(name, string(letters[rnd.IntN(len(letters))])...)
	}
	return fmt.Sprintf("%s%d", name, rnd.Uint64()) // no two alike
}

// TestBodiesOfDeletionsKeepTheLimit checks a property for all names. No body of more than one deletion is longer
// than MaxBytes, in either format, and every object is deleted.
func TestBodiesOfDeletionsKeepTheLimit(t *testing.T) {
	roles := resource.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles", Kind: "ClusterRole"}
	for _, format := range wire.Formats() {
		for seed := range uint64(20) {
			t.Run(fmt.Sprint(format.Name(), seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 5))
					e := &encoder{t: t, format: format, limit: 4096 + rnd.IntN(20_000), deleted: map[resource.ID]bool{}}
					breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 2, MaxBytes: e.limit})
					p := pipeline.New(e, format, breaker, pipeline.Options{MaxDeletes: 1000, MaxBytes: e.limit})
					x := index.New(nil)
					x.Listen(p)
					for i := range 1500 {
						x.Delete(roles, "", nasty(rnd, 1+rnd.IntN(100)), uint64(i))
					}
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan error, 1)
					go func() { done <- p.Run(ctx) }()
					time.Sleep(time.Minute)
					cancel()
					if err := <-done; err != nil {
						t.Error(err)
					}
					if len(e.deleted) != 1500 {
						t.Errorf("%d of 1500 deleted: %+v", len(e.deleted), p.Stats())
					}
					if e.largest < e.limit/3 {
						t.Errorf("the largest body has %d bytes of %d: the bound is far too careful", e.largest, e.limit)
					}
				})
			})
		}
	}
}
