package config_test

import (
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// TestForPlan_NeedsNothingOfTheMachine takes the settings of a pod, whose files this machine lacks, without a
// receiver.
func TestForPlan_NeedsNothingOfTheMachine(t *testing.T) {
	for _, environ := range [][]string{
		nil,
		{"ENDPOINT_FORMAT=dot-ai", "REST_ENDPOINT=", "AUTH_TOKEN_FILE=/var/run/secrets/none/token", "ENDPOINT_CA_FILE=/nowhere/ca.crt", "METRICS_CERT_DIR=/nowhere"},
		{"API_BIND_ADDRESS=:1", "METRICS_BIND_ADDRESS=:1", "LEASE_DURATION_MS=1000"},
	} {
		if _, err := config.ForPlan(environ); err != nil {
			t.Errorf("%v: %v", environ, err)
		}
	}
	_, err := config.ForPlan([]string{"LABEL_INCLUDE=[", "WATCH_NAMESPACES=a", "EXCLUDE_NAMESPACES=a", "WATCH_LABEL_SELECTOR=((", "DEBOUNCE_WINDOW_MS=9", "DEBOUNCE_MAX_WAIT_MS=1"})
	for _, name := range []string{"LABEL_INCLUDE", "EXCLUDE_NAMESPACES", "WATCH_LABEL_SELECTOR", "DEBOUNCE_MAX_WAIT_MS"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error says nothing of %s: %v", name, err)
		}
	}
}
