package membership_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

func TestMetricsTellTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		s := newServer()
		a := start(t, s, "a", "u1", func(o *membership.Options, _ *client) { o.Registerer = reg })
		b := start(t, s, "b", "u2")
		time.Sleep(20 * time.Second)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]float64)
		for _, f := range families {
			for _, m := range f.Metric {
				labels := make(map[string]string)
				for _, l := range m.Label {
					labels[l.GetName()] = l.GetValue()
				}
				if labels["ring"] != "vs" || labels["member"] != "a" {
					t.Errorf("%s has the labels %v, want ring and member", f.GetName(), labels)
				}
				got[f.GetName()] += m.Gauge.GetValue() + m.Counter.GetValue()
			}
		}
		for name, want := range map[string]float64{
			"members": 2, "partitions": 4093, "partitions_owned": float64(a.sends()),
			"partitions_orphaned": 0, "claims_conflicting": 0, "fenced": 0, "fence_events_total": 0, "view_disagreement_seconds": 0,
		} {
			v, ok := got["k8s_vectordb_sync_ring_"+name]
			if !ok || v != want {
				t.Errorf("%s = %v (%v), want %v", name, v, ok, want)
			}
		}
		if gained, lost := got["k8s_vectordb_sync_ring_partitions_gained_total"], got["k8s_vectordb_sync_ring_partitions_lost_total"]; gained-lost != float64(a.sends()) || gained == 0 {
			t.Errorf("%v gained and %v lost, want %d more gained than lost", gained, lost, a.sends())
		}
		a.leave(t)
		b.leave(t)
	})
}
