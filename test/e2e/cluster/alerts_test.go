//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/monitoring"
)

// alarm is a Prometheus that scrapes the replicas as the chart's ServiceMonitor says, with the token of the README.
// It watches the chart's alerts in real time. It runs where the stories do, outside the cluster. It is nil where
// pods cannot be reached from there, as on kind.
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
			Job: name, Token: token, Targets: discover(t, dir),
		})},
	})}
	a.waitScraped(t)
	return a
}

// discover keeps a file with every port of every pod behind every Service. It ends with the test.
func discover(t *testing.T, dir string) (file string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "targets.json")
	write := func() error {
		text, err := targets(t.Context(), client)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	var discovering sync.WaitGroup
	discovering.Go(func() { // Ends with the test.
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
				_ = write() // The API server may be away, and then the targets stay as they are.
			}
		}
	})
	t.Cleanup(discovering.Wait)
	return file
}

func targets(ctx context.Context, client kubernetes.Interface) ([]byte, error) {
	services, err := client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	known, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := []map[string]any{}
	for _, service := range services.Items {
		for _, slice := range known.Items {
			if slice.Labels[discoveryv1.LabelServiceName] != service.Name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				for _, port := range slice.Ports {
					pod := ""
					if endpoint.TargetRef != nil {
						pod = endpoint.TargetRef.Name
					}
					address := net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*port.Port)))
					found = append(found, monitoring.Found(service, pod, *port.Name, address))
				}
			}
		}
	}
	return json.Marshal(found)
}

// chartObject is the one object of a template of the chart, as the release of the stories has it with a value set.
func chartObject(t *testing.T, template, value string) unstructured.Unstructured {
	t.Helper()
	out := sh(t, fmt.Sprintf("helm template %s %s -n %s --set %s=true --show-only templates/%s.yaml", name, chart, namespace, value, template))
	for document := range strings.SplitSeq(out, "\n---") { // the account that scrapes may be beside it
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("%s: %v in\n%s", template, err, document)
		}
		if strings.HasPrefix(o.GetAPIVersion(), "monitoring.coreos.com/") {
			return o
		}
	}
	t.Fatalf("%s renders nothing for Prometheus:\n%s", template, out)
	return unstructured.Unstructured{}
}

// waitScraped waits until every replica, and no other target, is scraped.
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

// expect compares the alerts that have fired since the start with the wanted ones. No other may be pending.
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
