//go:build e2e

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestSpansGoToTheCollectorThatTheEnvironmentNames has one replica send, resync and verify with a collector named.
func TestSpansGoToTheCollectorThatTheEnvironmentNames(t *testing.T) {
	beside(t, 10*time.Second)
	var mu sync.Mutex
	var told bytes.Buffer // the bodies, in which names are legible
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&told, r.Body)
	}))
	t.Cleanup(collector.Close)
	r := fleet.New(t, fleet.Options{})
	p := r.Start(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_SERVICE_NAME": "the-sync",
	})
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)
	for _, path := range []string{"/api/v1/resync?resource=namespaces", "/api/v1/verify?resource=namespaces"} {
		if code, body := document(t, p).ask(t, http.MethodPost, path); code != http.StatusOK {
			t.Fatalf("%s is answered %d %s", path, code, body)
		}
	}
	fleet.Eventually(t, converge, func() string {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"the-sync", "deliver", "resync part", "verify", "namespaces.v1", p.Name} {
			if !bytes.Contains(told.Bytes(), []byte(name)) {
				return "the collector has not heard of " + name
			}
		}
		return ""
	})
}
