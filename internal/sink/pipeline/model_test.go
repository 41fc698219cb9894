package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestConvergence is the model test. A random script of changes, deletes and recreations runs against a receiver
// that fails in every way there is. It may apply a request long after its client has gone. Invariants: an ID is
// in one request at a time and in one array (checked by the receiver). When faults and changes have ended, the
// receiver equals the cluster. Objects that are refused for good, and only these, are quarantined. No object
// stays dirty.
func TestConvergence(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { converge(t, seed) })
		})
	}
}

func converge(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	r := newRig(t, pipeline.Options{
		Debounce: 2 * time.Second, MaxWait: 8 * time.Second, FlushInterval: time.Second, MaxUpserts: 5, MaxDeletes: 3,
		Settle: time.Minute, MaxBodyBytes: 1 << 20,
	})
	faultsEnd := time.Now().Add(3 * time.Minute)
	faulty := rand.New(rand.NewPCG(seed, 4))
	r.rcv.decide = func(_ int, req delivery.Request) answer {
		if time.Now().After(faultsEnd) || faulty.IntN(100) < 60 {
			a := delivered
			a.took = time.Duration(faulty.IntN(3000)) * time.Millisecond
			return a
		}
		took := time.Duration(faulty.IntN(5000)) * time.Millisecond
		n := len(req.Upserts) + len(req.Deletes)
		switch faulty.IntN(7) {
		case 0:
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}, took: took}
		case 1:
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 429, RetryAfter: 2 * time.Second}, took: took}
		case 2:
			return answer{outcome: wire.Outcome{Kind: wire.ServerError, Status: 500}, took: took}
		case 3:
			return answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: took, late: time.Duration(1+faulty.IntN(150)) * time.Second}
		case 4:
			return answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: took, apply: faulty.IntN(2) == 0}
		case 5:
			return answer{outcome: wire.Outcome{Kind: wire.Partial, Status: 400, Failed: []wire.ItemError{{Index: faulty.IntN(n)}}}, apply: true, took: took}
		default:
			return answer{outcome: wire.Outcome{Kind: wire.Retry}, took: took}
		}
	}
	cluster := map[string]string{}
	r.list("o1", "0", "o2", "0", "o3", "0")
	cluster["o1"], cluster["o2"], cluster["o3"] = "0", "0", "0"
	for i := range 600 {
		name := fmt.Sprint("o", rnd.IntN(30))
		if _, ok := cluster[name]; ok && rnd.IntN(4) == 0 {
			delete(cluster, name)
			r.del(name)
		} else {
			cluster[name] = fmt.Sprint(rnd.IntN(4), "#", i/100)
			r.put(name, cluster[name])
		}
		synctest.Wait()
		if s := r.p.Stats(); s.Dirty != r.p.CountDirty() {
			t.Fatalf("seed %d: %d dirty, counted %d", seed, s.Dirty, r.p.CountDirty())
		}
		if s := r.p.Stats(); s.Unsettled != r.p.CountUnsettled() {
			t.Fatalf("seed %d: %d unsettled, counted %d", seed, s.Unsettled, r.p.CountUnsettled())
		}
		time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond)
	}
	time.Sleep(time.Until(faultsEnd) + 12*time.Minute)
	want := map[resource.ID]resource.Body{}
	for name, body := range cluster {
		want[id(name)] = resource.Body(body)
	}
	if diff := cmp.Diff(want, r.rcv.documents()); diff != "" {
		t.Errorf("seed %d: receiver (-want +got):\n%s\n%+v", seed, diff, r.p.Stats())
	}
	if s := r.p.Stats(); s.Dirty != 0 || s.Unsettled != 0 || s.Quarantined != 0 || s.BodyBytes != 0 {
		t.Errorf("seed %d: not at rest: %+v", seed, s)
	}
}
