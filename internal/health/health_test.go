package health_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/health"
)

// TestReadyz_WaitsForTheClusterAndTheMetricsPort asks for readiness while the replica reads the cluster and opens
// the port of the metrics.
func TestReadyz_WaitsForTheClusterAndTheMetricsPort(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for name, test := range map[string]struct {
		read, open func() bool
		status     int
		says       string
	}{
		"all is there":              {yes, yes, http.StatusOK, "ok"},
		"the cluster is being read": {no, yes, http.StatusServiceUnavailable, "types"},
		"no metrics yet":            {yes, no, http.StatusServiceUnavailable, "metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			health.Handler(test.read, test.open).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("answered %d %q, want %d with %q", w.Code, w.Body.String(), test.status, test.says)
			}
		})
	}
}
