package app_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
)

// TestMetricsOpen_IsTrueOnceThePortIsBound starts the real server of metrics. A server that is switched off counts
// as open, so that no probe waits for it.
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
	gomega.NewWithT(t).Eventually(func() bool { return app.MetricsOpen(server) }, time.Minute).Should(gomega.BeTrue())
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
