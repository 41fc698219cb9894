package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// unheardOf is an outcome for which the pipeline has no rule, like one that is added to package wire and
// forgotten here.
const unheardOf = wire.Kind(200)

// TestPipeline_OutcomeWithoutARule_LosesNothingAndIsCounted has two requests end with an outcome without a rule.
// Their items are counted as dropped and named, and are sent all the same.
func TestPipeline_OutcomeWithoutARule_LosesNothingAndIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		var log strings.Builder // written by the pipeline alone, read when it has stopped
		r := newRig(t, pipeline.Options{
			Target: "t", Registerer: reg, Log: funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{}),
		})
		r.list("kept", "1", "gone", "1")
		time.Sleep(time.Minute)
		r.rcv.mu.Lock()
		tried := map[bool]int{} // by whether it is a request of deletions
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			deletes := len(req.Deletes) > 0
			if tried[deletes]++; tried[deletes] == 1 {
				return answer{outcome: wire.Outcome{Kind: unheardOf}, took: time.Millisecond}
			}
			return delivered
		}
		r.rcv.mu.Unlock()
		r.del("gone")
		r.put("kept", "2")
		time.Sleep(time.Minute)

		if docs := r.rcv.documents(); len(docs) != 1 || docs[id("kept")] != "2" {
			t.Errorf("the receiver has %v after %q", docs, r.rcv.requests())
		}
		if s := r.p.Stats(); s.Dirty != 0 {
			t.Errorf("%d objects are dirty", s.Dirty)
		}
		want := "# HELP k8s_vectordb_sync_dropped_total Changes that had lost their place after a request, by a fault of this program; " +
			"the log names each, and each is sent again.\n# TYPE k8s_vectordb_sync_dropped_total counter\n" +
			"k8s_vectordb_sync_dropped_total{target=\"t\"} 2\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "k8s_vectordb_sync_dropped_total"); err != nil {
			t.Error(err)
		}
		r.stop()
		for _, name := range []string{"kept", "gone"} {
			if !strings.Contains(log.String(), string(id(name))) {
				t.Errorf("the log does not name %s:\n%s", id(name), log.String())
			}
		}
	})
}
