package chart_test

import (
	"strings"
	"testing"
)

// The values file of the chart of k8s-vectordb-sync 0.1 means here what it meant there.
func TestPredecessor_ItsValuesFile_Works(t *testing.T) {
	t.Parallel()
	m := template(t, values(t, predecessorsValues)...)
	ports := map[string]int32{}
	for _, p := range controller(t, m).Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["probes"] != 9081 || environment(t, m)["HEALTH_PROBE_BIND_ADDRESS"] != ":9081" {
		t.Errorf("healthProbeBindAddress: ports %v, HEALTH_PROBE_BIND_ADDRESS=%s", ports, environment(t, m)["HEALTH_PROBE_BIND_ADDRESS"])
	}
	service := m.find("Service/k8s-vectordb-sync").Object["spec"].(map[string]any)["ports"].([]any)[0].(map[string]any)
	if port, ok := service["port"].(int64); !ok || port != 9082 {
		if asFloat(service["port"]) != 9082 {
			t.Errorf("service.apiPort: the Service is at %v", service["port"])
		}
	}
	if env := environment(t, m); env["REST_ENDPOINT"] != endpoint {
		t.Errorf("REST_ENDPOINT=%s", env["REST_ENDPOINT"])
	}
	for _, variable := range []string{"INSTANCES_ENDPOINT", "CAPABILITIES_ENDPOINT"} {
		if value, set := environment(t, m)[variable]; set {
			t.Errorf("%s=%q, want it left out", variable, value)
		}
	}
}

// Its image in our StatefulSet would be a pod that ends at once, for reasons that nobody understands.
func TestPredecessor_ItsImage_IsRefusedWithASentence(t *testing.T) {
	t.Parallel()
	for _, repository := range []string{"ghcr.io/wiggitywhitney/k8s-vectordb-sync", "wiggitywhitney/k8s-vectordb-sync", "docker.io/wiggitywhitney/k8s-vectordb-sync"} {
		message := refused(t, "--set", "image.repository="+repository)
		if !strings.Contains(message, "is the image of k8s-vectordb-sync 0.1") || !strings.Contains(message, "docs/migrating.md") {
			t.Errorf("%s: message %q", repository, message)
		}
	}
	if got := controller(t, template(t, "--set", "image.repository=mirror.example.com/team/k8s-vectordb-sync")).Image; got != "mirror.example.com/team/k8s-vectordb-sync:0.1.0" {
		t.Errorf("a copy of our own image is %s", got)
	}
}

// The second guide reads the log by the label of dot-ai-controller.
func TestNameOverride_DotAIController_GivesThePodsItsLabel(t *testing.T) {
	t.Parallel()
	m := templateAs(t, "dot-ai-controller", "--set", "nameOverride=dot-ai-controller,resourceSyncConfig.enabled=true")
	pods := podTemplates(t, m)["StatefulSet/dot-ai-controller"]
	if got := pods.Labels["app.kubernetes.io/name"]; got != "dot-ai-controller" {
		t.Errorf("the pods' label is %s", got)
	}
}
