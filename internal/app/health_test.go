package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
)

// TestReadyz_WaitsForTheClusterAndTheMetricsPort asks for readiness while the cluster is read and the port of the
// metrics is opened.
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
			app.HealthHandler(test.read, test.open).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("answered %d %q, want %d with %q", w.Code, w.Body.String(), test.status, test.says)
			}
		})
	}
}

// TestMetricsOpen_IsTrueOnceThePortIsBound starts the real server of metrics; one that is switched off keeps nobody
// waiting.
func TestMetricsOpen_IsTrueOnceThePortIsBound(t *testing.T) {
	if !app.MetricsOpen(nil) {
		t.Error("metrics that are switched off are waited for")
	}
	server, err := metricsserver.NewServer(metricsserver.Options{BindAddress: "127.0.0.1:0"}, &rest.Config{}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	if app.MetricsOpen(server) {
		t.Error("the port is said to be open before the server is started")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	for end := time.Now().Add(time.Minute); !app.MetricsOpen(server); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the port is not said to be open a minute after the start")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
