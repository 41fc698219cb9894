//go:build cluster

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/monitoring"
)

// alarm is a Prometheus that finds the replicas through the API server, scrapes them as the chart's ServiceMonitor says,
// with the token that the README has, and watches the chart's alerts in real time. It runs where the stories do, outside
// the cluster: nil where pods cannot be reached from there, as on kind.
type alarm struct {
	*monitoring.Prometheus
}

func watchAlerts(t *testing.T) *alarm {
	t.Helper()
	if os.Getenv("PROMETHEUS") == "" {
		t.Log("no Prometheus watches: pods cannot be reached from here")
		return nil
	}
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(strings.TrimSpace(kubectl(t, "create token "+name+"-controller-manager --duration=2h"))), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &alarm{monitoring.Start(t, monitoring.Options{
		Binary: os.Getenv("PROMETHEUS"), Interval: 2 * time.Second,
		Alerts: chartObject(t, "prometheusrule", "metrics.prometheusRule.enabled").Object["spec"],
		Scrape: []map[string]any{monitoring.ScrapeConfig(t, chartObject(t, "servicemonitor", "metrics.serviceMonitor.enabled"), monitoring.Scrape{
			Job: name, Token: token,
			Discovery: map[string]any{"kubernetes_sd_configs": []any{map[string]any{
				"role": "endpoints", "kubeconfig_file": os.Getenv("KUBECONFIG"), "namespaces": map[string]any{"names": []string{namespace}},
			}}},
		})},
	})}
	a.waitScraped(t)
	return a
}

// chartObject is the one object of a template of the chart, as the release of the stories would have it with a value set.
func chartObject(t *testing.T, template, value string) unstructured.Unstructured {
	t.Helper()
	out := sh(t, fmt.Sprintf("helm template %s %s -n %s --set %s=true --show-only templates/%s.yaml", name, chart, namespace, value, template))
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(out), &o.Object); err != nil {
		t.Fatalf("%s: %v in\n%s", template, err, out)
	}
	return o
}

// waitScraped waits until every replica, and nothing else, is scraped.
func (a *alarm) waitScraped(t *testing.T) {
	t.Helper()
	want := replicas(t)
	fleet.Eventually(t, converge, func() string {
		targets := a.Targets()
		for _, target := range targets {
			if target.Health != "up" || !strings.HasPrefix(target.Labels["pod"], name+"-") {
				return fmt.Sprintf("%v is %s: %s", target.Labels, target.Health, target.Error)
			}
		}
		if len(targets) != want {
			return fmt.Sprintf("%d replicas are scraped, want %d", len(targets), want)
		}
		return ""
	})
}

// expect holds what has fired since the start against what should have, and nothing else may be about to.
func (a *alarm) expect(t *testing.T, want ...string) {
	t.Helper()
	if a == nil {
		return
	}
	fleet.Eventually(t, converge, func() string {
		for _, alert := range a.Alerts() {
			if !slices.Contains(want, alert.Labels["alertname"]) {
				return fmt.Sprintf("%v is %s: %v", alert.Labels, alert.State, alert.Annotations)
			}
		}
		for _, alert := range want {
			if !slices.Contains(a.Fired(), alert) {
				return alert + " does not fire"
			}
		}
		return ""
	})
	a.waitScraped(t)
	for _, alert := range a.Fired() {
		if !slices.Contains(want, alert) {
			t.Errorf("%s has fired", alert)
		}
	}
}
