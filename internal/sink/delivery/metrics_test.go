package delivery_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// series reads what a registry holds: counters and gauges as they are, histograms by their count.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "k8s_vectordb_sync_delivery_") + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.GetCounter() != nil:
				got[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				got[name] = m.GetGauge().GetValue()
			default:
				got[name] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return got
}

func zeros(target string) map[string]float64 {
	want := map[string]float64{
		"duration_seconds{target=" + target + "}":               0,
		"batch_objects{operation=upsert,target=" + target + "}": 0,
		"batch_objects{operation=delete,target=" + target + "}": 0,
		"payload_bytes{target=" + target + "}":                  0,
		"in_flight_requests{target=" + target + "}":             0,
		"breaker_open{target=" + target + "}":                   0,
		"in_flight_limit{target=" + target + "}":                0,
		"payload_limit_bytes{target=" + target + "}":            0,
	}
	for _, outcome := range []string{"unknown", "delivered", "retry", "server_error", "partial", "miscounted", "refused", "unprocessable",
		"too_large", "unauthorized", "wrong_endpoint", "fenced"} {
		want["attempts_total{outcome="+outcome+",target="+target+"}"] = 0
	}
	return want
}

func TestSeriesStartAtZeroAndEndWithTheTarget(t *testing.T) {
	reg := prometheus.NewRegistry()
	open := func(target string) *delivery.Client {
		c, err := delivery.New("http://receiver", wire.DotAI(), delivery.Options{Target: target, Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, two := open("one"), open("two")
	want := zeros("two")
	maps.Copy(want, zeros("one"))
	if diff := cmp.Diff(want, series(t, reg)); diff != "" {
		t.Errorf("two targets (-want +got):\n%s", diff)
	}
	one.Close()
	if diff := cmp.Diff(zeros("two"), series(t, reg)); diff != "" {
		t.Errorf("one target (-want +got):\n%s", diff)
	}
	two.Close()
	if got := series(t, reg); len(got) != 0 {
		t.Errorf("no target leaves %v", got)
	}
}

func TestSeriesCountWhatWasSent(t *testing.T) {
	reg := prometheus.NewRegistry()
	var during map[string]float64
	stop := false
	c := newClient(t, "http://receiver", delivery.Options{Registerer: reg, BeforeWrite: func() error {
		if stop {
			return errStopped
		}
		return nil
	}, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		during = series(t, reg)
		return nil, errors.New("gone")
	})})
	c.Send(t.Context(), request(3))
	c.Send(t.Context(), delivery.Request{Deletes: []resource.ID{"shop/v1/Pod/a"}})
	c.Probe(t.Context())
	stop = true
	c.Send(t.Context(), request(3))
	c.Observe(delivery.State{Open: true, Limit: 2, MaxBytes: 4096})

	const target = "target=cluster-whisperer}"
	want := zeros("cluster-whisperer")
	want["attempts_total{outcome=unknown,"+target] = 3
	want["attempts_total{outcome=fenced,"+target] = 1
	want["duration_seconds{"+target] = 3
	want["payload_bytes{"+target] = 3
	want["batch_objects{operation=upsert,"+target] = 1
	want["batch_objects{operation=delete,"+target] = 1
	want["breaker_open{"+target] = 1
	want["in_flight_limit{"+target] = 2
	want["payload_limit_bytes{"+target] = 4096
	if diff := cmp.Diff(want, series(t, reg)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if during["in_flight_requests{"+target] != 1 {
		t.Errorf("%v in flight during a request", during["in_flight_requests{"+target])
	}
}

func TestForeignMetricOfTheSameNameIsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "k8s_vectordb_sync_delivery_in_flight_requests"}))
	if _, err := delivery.New("http://receiver", wire.DotAI(), delivery.Options{Registerer: reg}); err == nil || !strings.Contains(err.Error(), "registering metrics") {
		t.Errorf("error %v", err)
	}
}
