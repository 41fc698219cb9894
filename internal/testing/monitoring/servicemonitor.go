package monitoring

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Scrape holds the settings that a ServiceMonitor does not have.
type Scrape struct {
	Job string
	// Targets is a file that lists every port of every Service; see [Found].
	Targets string
	// Token is a file with the token of the scraper. Authority is a file with the authority that the ServiceMonitor
	// names, if it names one.
	Token, Authority string
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// serviceLabel is the label under which Prometheus' discovery presents a label of a Service.
func serviceLabel(label string) string {
	return "__meta_kubernetes_service_label_" + notInLabels.ReplaceAllString(label, "_")
}

// Found is one entry of a file of targets: a port of a pod behind a Service, with the labels that Prometheus'
// discovery of Kubernetes gives endpoints. Debian's Prometheus is built without that discovery. An empty pod is left
// out.
func Found(service corev1.Service, pod, port, address string) map[string]any {
	labels := map[string]string{
		"__meta_kubernetes_namespace": service.Namespace, "__meta_kubernetes_service_name": service.Name,
		"__meta_kubernetes_endpoint_port_name": port, "__meta_kubernetes_pod_container_name": "controller",
	}
	if pod != "" {
		labels["__meta_kubernetes_pod_name"] = pod
	}
	for k, v := range service.Labels {
		labels[serviceLabel(k)] = v
	}
	return map[string]any{"labels": labels, "targets": []string{address}}
}

// Endpoint returns the one endpoint of a ServiceMonitor.
func Endpoint(t testing.TB, monitor unstructured.Unstructured) map[string]any {
	t.Helper()
	endpoints, _, err := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	if err != nil || len(endpoints) != 1 {
		t.Fatalf("the ServiceMonitor has %d endpoints (%v), want 1", len(endpoints), err)
	}
	return endpoints[0].(map[string]any)
}

// ScrapeConfig is the configuration that the Prometheus Operator makes of a ServiceMonitor. It fails the test when
// the ServiceMonitor has a setting that it does not understand.
func ScrapeConfig(t testing.TB, monitor unstructured.Unstructured, s Scrape) map[string]any {
	t.Helper()
	e := Endpoint(t, monitor)
	for key := range e {
		if !slices.Contains([]string{"path", "port", "scheme", "authorization", "tlsConfig"}, key) {
			t.Fatalf("nobody here knows what %s of the ServiceMonitor's endpoint means", key)
		}
	}
	// The default type is Bearer.
	if name, _, err := unstructured.NestedString(e, "authorization", "credentials", "name"); err != nil || name == "" {
		t.Fatalf("the ServiceMonitor takes its token from no Secret: %v", e["authorization"])
	}
	return map[string]any{
		"job_name": s.Job, "metrics_path": e["path"], "scheme": e["scheme"],
		"authorization":   map[string]string{"credentials_file": s.Token},
		"tls_config":      tlsConfig(t, e, s.Authority),
		"relabel_configs": relabelings(t, monitor, e["port"].(string)),
		"file_sd_configs": []any{map[string]any{"files": []string{s.Targets}}},
	}
}

func tlsConfig(t testing.TB, endpoint map[string]any, authority string) map[string]any {
	t.Helper()
	given, _, err := unstructured.NestedMap(endpoint, "tlsConfig")
	if err != nil {
		t.Fatal(err)
	}
	if given["insecureSkipVerify"] == true {
		return map[string]any{"insecure_skip_verify": true}
	}
	key, _, err := unstructured.NestedString(given, "ca", "secret", "key")
	if err != nil || key != "ca.crt" {
		t.Fatalf("the ServiceMonitor takes the authority from key %q (%v)", key, err)
	}
	return map[string]any{"ca_file": authority, "server_name": given["serverName"]}
}

// relabelings keep the targets that the ServiceMonitor selects, and add the labels of the Prometheus Operator.
func relabelings(t testing.TB, monitor unstructured.Unstructured, port string) []map[string]any {
	t.Helper()
	keep := func(value, label string) map[string]any {
		return map[string]any{"action": "keep", "source_labels": []string{label}, "regex": regexp.QuoteMeta(value)}
	}
	var relabel []map[string]any
	selector, _, err := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	if err != nil || len(selector) == 0 {
		t.Fatalf("the ServiceMonitor selects %v (%v)", selector, err)
	}
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		relabel = append(relabel, keep(selector[k], serviceLabel(k)))
	}
	namespaces, _, err := unstructured.NestedStringSlice(monitor.Object, "spec", "namespaceSelector", "matchNames")
	if len(namespaces) == 0 && err == nil { // by default it selects in its own namespace
		namespaces = []string{monitor.GetNamespace()}
	}
	if err != nil || len(namespaces) != 1 || namespaces[0] == "" {
		t.Fatalf("the ServiceMonitor looks into namespaces %v (%v)", namespaces, err)
	}
	relabel = append(relabel, keep(namespaces[0], "__meta_kubernetes_namespace"), keep(port, "__meta_kubernetes_endpoint_port_name"))
	for _, label := range [][2]string{
		{"namespace", "__meta_kubernetes_namespace"}, {"service", "__meta_kubernetes_service_name"},
		{"pod", "__meta_kubernetes_pod_name"}, {"container", "__meta_kubernetes_pod_container_name"}, {"endpoint", "__meta_kubernetes_endpoint_port_name"},
	} {
		relabel = append(relabel, map[string]any{"source_labels": []string{label[1]}, "target_label": label[0]})
	}
	return relabel
}
