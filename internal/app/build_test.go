package app

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

// TestBuild_AsksNobody_AndAnswersTheAPI makes all parts over an API server that is not there. Each metric is
// registered once, and questions to the replica are answered before it runs.
func TestBuild_AsksNobody_AndAnswersTheAPI(t *testing.T) {
	cfg, err := config.FromEnviron([]string{
		"REST_ENDPOINT=http://receiver/sync", "CAPABILITIES_ENDPOINT=http://receiver/scan", "POD_NAME=sync-0", "POD_NAMESPACE=ns",
		"STATE_DIR=" + t.TempDir(), "RESOURCE_SYNC_CONFIG=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := build(cfg, &rest.Config{Host: "http://127.0.0.1:1"}, "cluster", Options{Log: logr.Discard()}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	status := a.backend().Status(t.Context())
	if status.Ready || len(status.Targets) != 1 || status.Targets[0].Name != handoff.Environment || status.Targets[0].Format != cfg.EndpointFormat {
		t.Errorf("before it runs the status is %+v", status)
	}
	if a.restores.Note(); !a.restores.Open() {
		t.Error("a restore that was noted is not open")
	}
	if s := a.situation(); s.Receiver == nil || s.Receiver.Down {
		t.Errorf("before it runs the situation is %+v", s)
	}
	if fleet := a.backend().Fleet(t.Context()); len(fleet.Receivers) != 1 {
		t.Errorf("the fleet has %d receivers, want 1", len(fleet.Receivers))
	}
}
