package pipeline_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestAnEmbedderThatIsDown has a receiver that takes deletions, which need no embedding, and answers 500 to every
// upsert, for ten minutes. Deletions must not wait for longer than the longest backoff, their success must not make
// the receiver look well to upserts, and nothing is quarantined.
func TestAnEmbedderThatIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const down = 10 * time.Minute
		r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Second, MaxUpserts: 5})
		var victims []string
		for i := range 300 {
			victims = append(victims, fmt.Sprintf("v%03d", i), "1")
		}
		r.list(victims...)
		time.Sleep(time.Minute)

		began, deleted := time.Now(), map[string]time.Duration{}
		upserts, late := 0, 0
		r.rcv.mu.Lock()
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			since := time.Since(began)
			for _, id := range req.Deletes {
				deleted[string(id)] = since
			}
			if len(req.Upserts) == 0 || since > down {
				return delivered
			}
			if upserts++; since > down/2 {
				late++
			}
			return answer{outcome: wire.Outcome{Kind: wire.ServerError, Status: 500, Reason: "embedder"}, took: 50 * time.Millisecond}
		}
		r.rcv.mu.Unlock()
		for i := range 300 {
			name := fmt.Sprintf("v%03d", i)
			r.put(fmt.Sprint("o", i%40), fmt.Sprint(i))
			r.del(name)
			asked := time.Since(began)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if at, ok := deleted[string(id(fmt.Sprintf("v%03d", max(i-8, 0))))]; !ok {
				t.Fatalf("second %v: a deletion has waited for more than 16 s", asked.Seconds())
			} else if at > asked {
				t.Fatalf("impossible: deleted %v after the end", at)
			}
		}
		synctest.Wait()
		// With 15 s between attempts, and a probe and a suspect each, five minutes have room for about 50.
		if late > 60 {
			t.Errorf("%d upserts tried in the second five minutes (%d in all): the backoff does not grow", late, upserts)
		}
		time.Sleep(40 * time.Second)
		if n, s := len(r.rcv.documents()), r.p.Stats(); n != 40 || s.Dirty != 0 || s.Quarantined != 0 {
			t.Errorf("40 s after its return: %d of 40 documents, %+v", n, s)
		}
	})
}
