package delivery_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// TestClient_TraceparentGoesWithEachRequestWhenTracing sends to a receiver with tracing on, and off.
func TestClient_TraceparentGoesWithEachRequestWhenTracing(t *testing.T) {
	var seen atomic.Value
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Traceparent"))
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer receiver.Close()
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	tracer, err := tracing.FromEnviron(func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}[name]
	}, tracing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	for name, test := range map[string]struct {
		tracer *tracing.Tracer
		want   string
	}{
		"on":  {tracer, "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$"},
		"off": {nil, "^$"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := delivery.New(receiver.URL, wire.ClusterWhisperer(), delivery.Options{Tracer: test.tracer})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for what, send := range map[string]func(){
				"request": func() { c.Send(t.Context(), delivery.Request{Deletes: []resource.ID{"default/v1/ConfigMap/a"}}) },
				"probe":   func() { c.Probe(t.Context()) },
			} {
				seen.Store("nothing came")
				send()
				if got, _ := seen.Load().(string); !regexp.MustCompile(test.want).MatchString(got) {
					t.Errorf("the traceparent of a %s is %q", what, got)
				}
			}
		})
	}
}
