package controller_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
)

// TestNewStartsNothing makes a controller, and goleak finds any goroutine of it.
func TestNewStartsNothing(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := controller.New(&rest.Config{Host: "http://localhost:1"}, newFakeTargets(), controller.Options{Registerer: reg}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Errorf("metrics before the start: %v, %v; want those of ready and of not ready objects", families, err)
	}
}
