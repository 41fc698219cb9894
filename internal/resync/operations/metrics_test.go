package operations_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// values are the values of all metrics by what follows the prefix, without those that are 0.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "k8s_vectordb_sync_resync_")
			for _, l := range s.GetLabel() {
				name += "," + l.GetValue()
			}
			if v := s.GetCounter().GetValue() + s.GetGauge().GetValue(); v != 0 {
				m[name] = v
			}
		}
	}
	return m
}

// TestMetricsTellOfTheWholeFleetOnce has the view name a third member, which runs nothing, until it is gone.
func TestMetricsTellOfTheWholeFleetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 12)
		f.see("a", "b", "c")
		regs := map[string]*prometheus.Registry{}
		for _, name := range []string{"a", "b"} {
			regs[name] = prometheus.NewRegistry()
			f.start(name, func(o *operations.Options, _ *member) { o.Registerer, o.Interval = regs[name], 24*time.Hour })
		}
		synctest.Wait()
		good := f.behave
		f.locked(func() {
			f.behave = func(ctx context.Context, m string, r operations.Request, p operations.Part, progress func(int, int)) error {
				if p.Key == "things5.v1" {
					return errors.New("no")
				}
				return good(ctx, m, r, p, progress)
			}
		})
		o := f.begin("a", f.full())
		time.Sleep(500 * time.Millisecond)
		f.see("a", "b")
		if m := values(t, regs["b"]); m["operations_running"] != 1 || m["next_due_timestamp_seconds"] != 0 {
			t.Errorf("while it runs b says %v", m)
		}
		end := f.wait("b", o.ID)
		time.Sleep(3 * time.Second)
		sum := map[string]float64{}
		for _, name := range []string{"a", "b"} {
			for k, v := range values(t, regs[name]) {
				sum[k] += v
			}
		}
		due := float64(2 * end.FinishedAt.Add(24*time.Hour).Unix())
		if sum["operations_started_total,request"] != 1 || sum["operations_ended_total,done,request"] != 1 || sum["operations_running"] != 0 ||
			sum["parts_total,done"] != 11 || sum["parts_total,failed"] != 1 || sum["parts_taken_over_total"] == 0 ||
			sum["objects_offered_total"] != 110 || sum["writes_total"] == 0 || sum["next_due_timestamp_seconds"] < due {
			t.Errorf("together a and b say %v", sum)
		}
	})
}
