//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// TestPrometheusSeesWhatIsWrong has a real Prometheus scrape three replicas as the chart's ServiceMonitor says, with the
// chart's alerts, thirty times as fast. A rolling restart raises none of them; a receiver that is down and a replica that
// dies raise theirs and no others.
func TestPrometheusSeesWhatIsWrong(t *testing.T) {
	t.Parallel() // it mostly waits
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
	m := newMonitoring(t, r, render(t, "k8s-vectordb-sync", chartNamespace, args...))
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
	m.run(binaries)
	m.waitScraped(len(replicas))

	change := 0
	label := func() {
		change++
		r.Kube("", "label", "--overwrite", "namespace", "default", "change="+strconv.Itoa(change))
	}
	for i := range slices.Backward(replicas) { // as a StatefulSet is rolled
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
	if fired := m.query(`count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[10m]))`); len(fired) > 0 {
		t.Errorf("a rolling restart raised %v", fired)
	}

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
		if amiss := m.firing(want); amiss != "" && m.firing(nil) != "" { // the other one lasts for its quarter of an hour
			return amiss
		}
		return ""
	})
	r.WaitEqual(converge)
}

// quicker is by how much the story's time runs faster than that of the alerts: a minute takes two seconds.
const quicker = 30

// monitoring is a Prometheus for the replicas.
type monitoring struct {
	t                 *testing.T
	r                 *fleet.Rig
	dir, certificates string
	address           string
	monitor           unstructured.Unstructured
	services          []corev1.Service
}

// newMonitoring takes the ServiceMonitor and the Services of a manifest, and makes the certificate that the ServiceMonitor
// wants to see.
func newMonitoring(t *testing.T, r *fleet.Rig, manifest string) *monitoring {
	t.Helper()
	m := &monitoring{t: t, r: r, dir: t.TempDir(), certificates: t.TempDir()}
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
	name, _, err := unstructured.NestedString(m.endpoint(), "tlsConfig", "serverName")
	if err != nil || name == "" {
		t.Fatalf("the ServiceMonitor names no server: %v", err)
	}
	certificate(t, m.certificates, 1, name)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	m.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return m
}

// endpoint is the one endpoint of the ServiceMonitor.
func (m *monitoring) endpoint() map[string]any {
	m.t.Helper()
	endpoints, _, err := unstructured.NestedSlice(m.monitor.Object, "spec", "endpoints")
	if err != nil || len(endpoints) != 1 {
		m.t.Fatalf("the ServiceMonitor has %d endpoints (%v), want 1", len(endpoints), err)
	}
	return endpoints[0].(map[string]any)
}

// write writes a file that Prometheus reads, one taking the other's place.
func (m *monitoring) write(name string, content any) string {
	m.t.Helper()
	text, err := json.Marshal(content) // which is YAML, too
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
	return path
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// meta is the label under which Prometheus' discovery presents a label of a Service.
func meta(label string) string {
	return "__meta_kubernetes_service_label_" + notInLabels.ReplaceAllString(label, "_")
}

// discover lets Prometheus find every port of every Service of the chart, with the labels that its discovery of
// Kubernetes would give it. Nothing here makes Pods, and EndpointSlices take no loopback address.
func (m *monitoring) discover(replicas ...*fleet.Replica) {
	m.t.Helper()
	var found []map[string]any
	for _, p := range replicas {
		if p == nil {
			continue
		}
		for _, s := range m.services {
			for _, port := range s.Spec.Ports {
				labels := map[string]string{
					"__meta_kubernetes_namespace": s.Namespace, "__meta_kubernetes_service_name": s.Name,
					"__meta_kubernetes_endpoint_port_name": port.Name, "__meta_kubernetes_pod_name": p.Name,
					"__meta_kubernetes_pod_container_name": "controller",
				}
				for k, v := range s.Labels {
					labels[meta(k)] = v
				}
				address := map[string]string{"metrics": p.Metrics, "api": p.API}[port.TargetPort.String()]
				found = append(found, map[string]any{"targets": []string{address}, "labels": labels})
			}
		}
	}
	m.write("targets.json", found)
}

// scrapeConfig is what the Prometheus Operator makes of the ServiceMonitor, for the account whose token is in a file.
func (m *monitoring) scrapeConfig(job, token string) map[string]any {
	m.t.Helper()
	e := m.endpoint()
	for key := range e {
		if !slices.Contains([]string{"path", "port", "scheme", "bearerTokenFile", "tlsConfig"}, key) {
			m.t.Fatalf("this story does not know what %s of the ServiceMonitor's endpoint means", key)
		}
	}
	if e["bearerTokenFile"] == nil {
		m.t.Fatal("the ServiceMonitor sends no token")
	}
	key, _, err := unstructured.NestedString(e, "tlsConfig", "ca", "secret", "key")
	if err != nil || key != "ca.crt" {
		m.t.Fatalf("the ServiceMonitor takes the authority from key %q (%v)", key, err)
	}
	serverName, _, _ := unstructured.NestedString(e, "tlsConfig", "serverName")
	keep := func(value string, labels ...string) map[string]any {
		return map[string]any{"action": "keep", "source_labels": labels, "regex": regexp.QuoteMeta(value)}
	}
	copied := func(to, from string) map[string]any {
		return map[string]any{"source_labels": []string{from}, "target_label": to}
	}
	var relabel []map[string]any
	selector, _, err := unstructured.NestedStringMap(m.monitor.Object, "spec", "selector", "matchLabels")
	if err != nil || len(selector) == 0 {
		m.t.Fatalf("the ServiceMonitor selects %v (%v)", selector, err)
	}
	for k, v := range selector {
		relabel = append(relabel, keep(v, meta(k)))
	}
	namespaces, _, err := unstructured.NestedStringSlice(m.monitor.Object, "spec", "namespaceSelector", "matchNames")
	if err != nil || len(namespaces) != 1 {
		m.t.Fatalf("the ServiceMonitor looks into namespaces %v (%v)", namespaces, err)
	}
	relabel = append(relabel, keep(namespaces[0], "__meta_kubernetes_namespace"), keep(e["port"].(string), "__meta_kubernetes_endpoint_port_name"),
		copied("namespace", "__meta_kubernetes_namespace"), copied("service", "__meta_kubernetes_service_name"),
		copied("pod", "__meta_kubernetes_pod_name"), copied("container", "__meta_kubernetes_pod_container_name"), copied("endpoint", "__meta_kubernetes_endpoint_port_name"))
	return map[string]any{
		"job_name": job, "metrics_path": e["path"], "scheme": e["scheme"],
		"authorization":   map[string]string{"credentials_file": token},
		"tls_config":      map[string]string{"ca_file": filepath.Join(m.certificates, "tls.crt"), "server_name": serverName},
		"file_sd_configs": []any{map[string]any{"files": []string{filepath.Join(m.dir, "targets.json")}}},
		"relabel_configs": relabel,
	}
}

// token writes the token of an account of the namespace monitoring into a file.
func (m *monitoring) token(account string) string {
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
func (m *monitoring) run(binaries string) {
	m.t.Helper()
	config := m.write("prometheus.yml", map[string]any{
		"global":     map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{m.write("alerts.yml", fasterAlerts(m.t))},
		"scrape_configs": []any{
			m.scrapeConfig("replicas", m.token("prometheus")),
			m.scrapeConfig("stranger", m.token("stranger")),
		},
	})
	log := filepath.Join(m.dir, "prometheus.log")
	p, err := process.Start(process.Command{
		Binary: filepath.Join(binaries, "prometheus"), Log: log,
		Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(m.dir, "data"), "--web.listen-address=" + m.address},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := p.Stop(false, 0); err != nil {
			m.t.Error(err)
		}
		if m.t.Failed() {
			m.t.Logf("Prometheus said last:\n%s", p.Tail(20))
		}
	})
	fleet.Eventually(m.t, time.Minute, func() string {
		select {
		case <-p.Ended():
			m.t.Fatal("Prometheus has ended")
		default:
		}
		resp, err := http.Get("http://" + m.address + "/-/ready")
		if err != nil {
			return err.Error()
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return "Prometheus is not ready: " + resp.Status
		}
		return ""
	})
}

// seconds are thresholds of time: no other one has three digits.
var (
	seconds  = regexp.MustCompile(`([<>]) (\d{3,})`)
	duration = regexp.MustCompile(`\b(\d+)(m|h)\b`)
)

// fasterAlerts returns the chart's alerts with all times cut short.
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
		if rule["alert"] != "K8sVectorDBSyncCheckpointStale" { // they are written every ten seconds, however fast the time runs
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

// get asks Prometheus' API.
func (m *monitoring) get(path string, data any) {
	m.t.Helper()
	resp, err := http.Get("http://" + m.address + "/api/v1/" + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s %v %s", path, resp.Status, err, body)
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(body, &answer); err != nil {
		m.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

// query returns the labels of each series of a result.
func (m *monitoring) query(expr string) []map[string]string {
	m.t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
		} `json:"result"`
	}
	m.get("query?query="+url.QueryEscape(expr), &data)
	found := make([]map[string]string, len(data.Result))
	for i, r := range data.Result {
		found[i] = r.Metric
	}
	return found
}

// waitScraped waits until this many replicas have been scraped, and nothing else is: not their API, and nothing by a
// stranger.
func (m *monitoring) waitScraped(replicas int) {
	m.t.Helper()
	fleet.Eventually(m.t, converge, func() string {
		var data struct {
			Active []struct {
				Labels map[string]string `json:"labels"`
				Health string            `json:"health"`
				Error  string            `json:"lastError"`
			} `json:"activeTargets"`
		}
		m.get("targets?state=active", &data)
		up, refused := 0, 0
		for _, target := range data.Active {
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

// firing tells what is amiss when other alerts fire than these, each with a label that it has.
func (m *monitoring) firing(want map[string]string) string {
	m.t.Helper()
	var data struct {
		Alerts []struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
			State       string            `json:"state"`
		} `json:"alerts"`
	}
	m.get("alerts", &data)
	found := make(map[string]bool)
	for _, a := range data.Alerts {
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
