//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/monitoring"
)

// TestPrometheusSeesWhatIsWrong has a real Prometheus scrape three replicas as the chart's ServiceMonitor says, with
// the chart's alerts, thirty times as fast. A rolling restart raises none of them. A receiver that is down and a
// replica that dies raise theirs and no others.
func TestPrometheusSeesWhatIsWrong(t *testing.T) {
	beside(t, 80*time.Second)
	began := time.Now()
	binaries := script(t, "hack/prometheus/ensure.sh")
	r := fleet.New(t, fleet.Options{Receiver: receiver.Options{Dir: t.TempDir()}})
	r.Kube("", "create", "namespace", chartNamespace)
	r.Kube("", "create", "namespace", "monitoring")
	r.Kube("", "create", "serviceaccount", "prometheus", "-n", "monitoring")
	r.Kube("", "create", "serviceaccount", "stranger", "-n", "monitoring")
	args := []string{"--set", "metrics.serviceMonitor.enabled=true,metrics.certManager.enabled=true," +
		"metrics.readers[0].name=prometheus,metrics.readers[0].namespace=monitoring"}
	r.Apply(render(t, "k8s-vectordb-sync", chartNamespace, append(args, "--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml")...))
	m := newMonitored(t, r, render(t, "k8s-vectordb-sync", chartNamespace, args...))
	kubeconfig, err := r.ServiceAccountKubeconfig(t.Context(), chartNamespace, "k8s-vectordb-sync-controller-manager")
	if err != nil {
		t.Fatal(err)
	}
	replicas := make([]*fleet.Replica, 3)
	start := func(i int) {
		replicas[i] = r.Start(map[string]string{
			"KUBECONFIG": kubeconfig, "POD_NAMESPACE": chartNamespace, "POD_NAME": "k8s-vectordb-sync-" + strconv.Itoa(i),
			"METRICS_SECURE": "true", "METRICS_CERT_DIR": m.certificates,
		})
		m.discover(replicas...)
	}
	for i := range replicas {
		start(i)
		replicas[i].WaitReady(time.Minute)
		agreed(t, converge, replicas[:i+1]...)
		r.WaitEqual(converge)
	}
	m.run(filepath.Join(binaries, "prometheus"))
	m.waitScraped(len(replicas))

	change := 0
	label := func() {
		change++
		r.Kube("", "label", "--overwrite", "namespace", "default", "change="+strconv.Itoa(change))
	}
	for i := range slices.Backward(replicas) { // in the order of a StatefulSet's rollout
		label()
		if code := replicas[i].Stop(grace); code != 0 {
			t.Errorf("%s ended with %d", replicas[i].Name, code)
		}
		start(i)
		replicas[i].WaitReady(time.Minute)
		m.waitScraped(len(replicas))
	}
	agreed(t, converge, replicas...)
	r.WaitEqual(converge)
	if fired := m.Fired(); len(fired) > 0 {
		t.Errorf("a rolling restart raised %v", fired)
	}

	m.everyPanelAnswers()

	t.Logf("the rolling restart has ended after %v", time.Since(began).Round(time.Second))

	r.StopReceiver()
	label()
	replicas[2].Kill()
	want := map[string]string{"K8sVectorDBSyncReceiverDown": "target=default", "K8sVectorDBSyncReplicaDead": "ring=k8s-vectordb-sync"}
	fleet.Eventually(t, time.Minute, func() string { return m.firing(want) })
	t.Logf("both alerts fire after %v", time.Since(began).Round(time.Second))
	r.StartReceiver()
	delete(want, "K8sVectorDBSyncReceiverDown")
	fleet.Eventually(t, time.Minute, func() string {
		// The other alert lasts for its quarter of an hour.
		if amiss := m.firing(want); amiss != "" && m.firing(nil) != "" {
			return amiss
		}
		return ""
	})
	r.WaitEqual(converge)
}

// conditional are panels that are empty without trouble.
var conditional = []string{"Types that cannot be read"}

// legendLabel is a label in a legend.
var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

// everyPanelAnswers asks Prometheus the queries of the chart's dashboard. Each has a result, with the labels that
// its legend names. For queries that show only series above 0, it asks for all of them.
func (m *monitored) everyPanelAnswers() {
	m.t.Helper()
	text, err := os.ReadFile(chartDir + "/files/dashboard.json")
	if err != nil {
		m.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string                                `json:"title"`
			Targets []struct{ Expr, LegendFormat string } `json:"targets"`
		} `json:"panels"`
	}
	if err := yaml.Unmarshal(text, &dashboard); err != nil {
		m.t.Fatal(err)
	}
	asked := 0
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			asked++
			expr := strings.TrimSuffix(strings.ReplaceAll(q.Expr, "$namespace", ".+"), " > 0")
			series := m.Query(expr)
			if len(series) == 0 && !slices.Contains(conditional, p.Title) {
				m.t.Errorf("the panel %q is empty: %s", p.Title, expr)
			}
			for _, labels := range series {
				for _, name := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
					if labels[name[1]] == "" {
						m.t.Errorf("a series of the panel %q has no label %s: %v", p.Title, name[1], labels)
					}
				}
			}
		}
	}
	if asked < 50 {
		m.t.Errorf("%d queries were asked, want those of all panels", asked)
	}
}

// quicker is how much faster the story's time runs than that of the alerts: a minute takes two seconds.
const quicker = 30

// monitored is a Prometheus for the replicas.
type monitored struct {
	*monitoring.Prometheus // from run on

	t                 *testing.T
	r                 *fleet.Rig
	dir, certificates string
	monitor           unstructured.Unstructured
	services          []corev1.Service
}

// newMonitored takes the ServiceMonitor and the Services of a manifest, and makes the certificate that the
// ServiceMonitor expects.
func newMonitored(t *testing.T, r *fleet.Rig, manifest string) *monitored {
	t.Helper()
	m := &monitored{t: t, r: r, dir: t.TempDir(), certificates: t.TempDir()}
	for _, o := range objects(t, manifest) {
		switch o.GetKind() {
		case "ServiceMonitor":
			m.monitor = o
		case "Service":
			m.services = append(m.services, as[corev1.Service](t, o))
		}
	}
	if m.monitor.Object == nil || len(m.services) < 3 {
		t.Fatalf("%d Services and the ServiceMonitor %v", len(m.services), m.monitor.Object)
	}
	name, _, err := unstructured.NestedString(monitoring.Endpoint(t, m.monitor), "tlsConfig", "serverName")
	if err != nil || name == "" {
		t.Fatalf("the ServiceMonitor names no server: %v", err)
	}
	certificate(t, m.certificates, 1, name)
	return m
}

// discover lets Prometheus find every port of every Service of the chart. No controller here makes Pods, and
// EndpointSlices take no loopback address.
func (m *monitored) discover(replicas ...*fleet.Replica) {
	m.t.Helper()
	var found []map[string]any
	for _, p := range replicas {
		if p == nil {
			continue
		}
		for _, s := range m.services {
			for _, port := range s.Spec.Ports {
				address := map[string]string{"metrics": p.Metrics, "api": p.API}[port.TargetPort.String()]
				found = append(found, monitoring.Found(s, p.Name, port.Name, address))
			}
		}
	}
	monitoring.WriteFile(m.t, m.dir, "targets.json", found)
}

// scrapeConfig is the configuration by which an account of the namespace monitoring scrapes.
func (m *monitored) scrapeConfig(job, account string) map[string]any {
	m.t.Helper()
	return monitoring.ScrapeConfig(m.t, m.monitor, monitoring.Scrape{
		Job: job, Token: m.token(account), Authority: filepath.Join(m.certificates, "tls.crt"),
		Targets: filepath.Join(m.dir, "targets.json"),
	})
}

// token writes the token of an account of the namespace monitoring into a file.
func (m *monitored) token(account string) string {
	m.t.Helper()
	config, err := m.r.ServiceAccountRESTConfig(m.t.Context(), "monitoring", account)
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.dir, account+".token")
	if err := os.WriteFile(path, []byte(config.BearerToken), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// run starts Prometheus, which ends with the test.
func (m *monitored) run(binary string) {
	m.t.Helper()
	m.Prometheus = monitoring.Start(m.t, monitoring.Options{
		Binary: binary, Interval: time.Second, Alerts: fasterAlerts(m.t),
		Scrape: []map[string]any{m.scrapeConfig("replicas", "prometheus"), m.scrapeConfig("stranger", "stranger")},
	})
}

// seconds matches thresholds of time: no other threshold has three digits.
var (
	seconds  = regexp.MustCompile(`([<>]) (\d{3,})`)
	duration = regexp.MustCompile(`\b(\d+)(m|h)\b`)
)

// fasterAlerts returns the chart's alerts with all times shortened.
func fasterAlerts(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(chartDir + "/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string           `json:"name"`
			Rules []map[string]any `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	faster := func(s string) string {
		return duration.ReplaceAllStringFunc(s, func(d string) string {
			parsed, err := time.ParseDuration(d)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%ds", int((parsed / quicker).Seconds()))
		})
	}
	for _, rule := range file.Groups[0].Rules {
		expr := faster(rule["expr"].(string))
		// Checkpoints are written every ten seconds, however fast the time runs.
		if rule["alert"] != "K8sVectorDBSyncCheckpointStale" {
			expr = seconds.ReplaceAllStringFunc(expr, func(s string) string {
				n, err := strconv.Atoi(s[2:])
				if err != nil {
					t.Fatal(err)
				}
				return s[:2] + strconv.Itoa(n/quicker)
			})
		}
		rule["expr"] = expr
		if wait, ok := rule["for"].(string); ok {
			rule["for"] = faster(wait)
		}
	}
	if len(file.Groups[0].Rules) < 20 {
		t.Fatalf("%d alerts", len(file.Groups[0].Rules))
	}
	return map[string]any{"groups": file.Groups}
}

// waitScraped waits until this many replicas have been scraped, and no other target: not their API, and none by an
// account without the right.
func (m *monitored) waitScraped(replicas int) {
	m.t.Helper()
	fleet.Eventually(m.t, converge, func() string {
		up, refused := 0, 0
		for _, target := range m.Targets() {
			switch target.Labels["job"] {
			case "replicas":
				if target.Health != "up" || target.Labels["namespace"] != chartNamespace || target.Labels["pod"] == "" {
					return fmt.Sprintf("%v is %s: %s", target.Labels, target.Health, target.Error)
				}
				up++
			case "stranger":
				if target.Health != "down" || !strings.Contains(target.Error, "403") {
					return fmt.Sprintf("a stranger's look at %v is %s: %s", target.Labels, target.Health, target.Error)
				}
				refused++
			}
		}
		if up != replicas || refused != replicas {
			return fmt.Sprintf("%d replicas are scraped and %d refuse a stranger, want %d", up, refused, replicas)
		}
		return ""
	})
}

// firing says what is wrong if other alerts fire than these, each with one of its labels.
func (m *monitored) firing(want map[string]string) string {
	m.t.Helper()
	found := make(map[string]bool)
	for _, a := range m.Alerts() {
		if a.State != "firing" {
			continue
		}
		name := a.Labels["alertname"]
		key, value, _ := strings.Cut(want[name], "=")
		if key == "" || a.Labels[key] != value || a.Labels["namespace"] != chartNamespace || a.Annotations["runbook_url"] == "" {
			return fmt.Sprintf("%v fires: %v", a.Labels, a.Annotations)
		}
		found[name] = true
	}
	for name := range want {
		if !found[name] {
			return name + " does not fire"
		}
	}
	return ""
}
