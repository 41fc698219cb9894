package chart_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/predecessor"
)

// A values file for the chart of k8s-vectordb-sync 0.1 keeps its meaning.
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

// Its image in our StatefulSet would be a pod that ends at once without an understandable reason.
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

// steps returns the commands of a section of docs/migrating.md: those of its blocks, with continued lines joined.
func steps(t *testing.T, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(string(read(t, root+"/docs/migrating.md")), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/migrating.md has no %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			commands = append(commands, strings.Join(strings.Fields(line), " "))
		}
	}
	if len(commands) == 0 {
		t.Fatalf("%s has no commands", heading)
	}
	return commands
}

// follow runs commands as they are printed, with the tools and the cluster of the test, in the root of the
// repository.
func (c *cluster) follow(t *testing.T, commands ...string) {
	t.Helper()
	tools := t.TempDir()
	for name, path := range map[string]string{"helm": helm(t), "kubectl": c.Kubectl()} {
		if err := os.Symlink(path, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		command = strings.NewReplacer("your-values.yaml", os.Getenv("VALUES"), "resourcesyncconfigs.yaml", filepath.Join(tools, "copy.yaml")).Replace(command)
		t.Log(command)
		mustRun(t, nil, "sh", "-c", "cd "+top+" && "+command)
	}
}

// warns returns the controller's messages at its start about Deployments that are in its way.
func (c *cluster) warns(t *testing.T, resourceSyncConfig bool) string {
	t.Helper()
	var said []string
	ctx, stop := context.WithCancel(t.Context())
	w := predecessor.New(metadata.NewForConfigOrDie(c.RESTConfig()), c.admin.AuthorizationV1(), predecessor.Options{
		ResourceSyncConfig: resourceSyncConfig,
		Log:                funcr.New(func(_, args string) { said = append(said, args); stop() }, funcr.Options{}),
	})
	if err := w.Run(ctx); err != nil { // ends when it finds nothing, or by stop after a message
		t.Error(err)
	}
	return strings.Join(said, "\n")
}

// objects returns the objects of some kinds in a namespace.
func (c *cluster) objects(t *testing.T, namespace, kinds string) []string {
	t.Helper()
	names := strings.Fields(string(c.kubectl(t, nil, "get", kinds, "-n", namespace, "-o", "name")))
	slices.Sort(names)
	return names
}

// testWayOverFromThePredecessor follows docs/migrating.md from k8s-vectordb-sync 0.1, with Helm and with kustomize.
func (c *cluster) testWayOverFromThePredecessor(t *testing.T) {
	c.newNamespace(t, namespace)
	t.Setenv("VALUES", values(t, predecessorsValues)[1])
	t.Setenv("HELM_CACHE_HOME", t.TempDir())
	c.removeNamespace(t, namespace)
	old := filepath.Join(t.TempDir(), "k8s-vectordb-sync")
	for name, content := range map[string]string{
		"Chart.yaml":         "apiVersion: v2\nname: k8s-vectordb-sync\nversion: 0.1.0\n",
		"values.yaml":        "image: {repository: ghcr.io/wiggitywhitney/k8s-vectordb-sync, tag: 0.1.0}\nleaderElect: true\n",
		"templates/all.yaml": string(read(t, "testdata/k8s-vectordb-sync-0.1.yaml")),
	} {
		path := filepath.Join(old, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.follow(t, "helm install k8s-vectordb-sync "+old+" --namespace "+namespace+" --create-namespace")
	if said := c.warns(t, false); !strings.Contains(said, namespace+"/k8s-vectordb-sync") {
		t.Errorf("the old Deployment is there, and the controller says %q", said)
	}
	upgrade := steps(t, "### With Helm")[0]
	if _, err := run(t, nil, helm(t), "upgrade", "k8s-vectordb-sync", chartDir, "--namespace", namespace, "--reuse-values", "--kubeconfig", c.Kubeconfig()); err == nil || !strings.Contains(err.Error(), "is the image of k8s-vectordb-sync 0.1") {
		t.Errorf("with the old values the upgrade says %v, want the sentence about the image", err)
	}
	c.follow(t, steps(t, "### What is there")[0], upgrade)
	if got := c.objects(t, namespace, "deployments,statefulsets"); !slices.Equal(got, []string{"statefulset.apps/k8s-vectordb-sync"}) {
		t.Errorf("after the upgrade there are %v", got)
	}
	if said := c.warns(t, false); said != "" {
		t.Errorf("the old Deployment is gone, and the controller says %q", said)
	}
	notes := string(mustRun(t, nil, helm(t), "get", "notes", "k8s-vectordb-sync", "--namespace", namespace, "--kubeconfig", c.Kubeconfig()))
	for _, want := range []string{"leaderElect (", "service.healthPort (", "service.apiPort is service.port", "healthProbeBindAddress is config.healthProbeBindAddress", "svc/k8s-vectordb-sync 9082:9082"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	c.follow(t, "helm uninstall k8s-vectordb-sync --namespace "+namespace)

	// With kustomize, only the documented step removes the old Deployment.
	c.apply(t, read(t, "testdata/k8s-vectordb-sync-0.1.yaml"))
	c.follow(t, steps(t, "### With kustomize")...)
	if got := c.objects(t, namespace, "deployments,statefulsets"); !slices.Equal(got, []string{"statefulset.apps/k8s-vectordb-sync"}) {
		t.Errorf("after kubectl apply -k there are %v", got)
	}
	c.follow(t, "kubectl delete -k config/basic --wait=false")
}

// testWayOverFromDotAIController follows docs/migrating.md from dot-ai-controller 0.47, both ways.
func (c *cluster) testWayOverFromDotAIController(t *testing.T) {
	t.Setenv("HELM_CACHE_HOME", t.TempDir())
	// Other tests may have made it.
	c.kubectl(t, nil, "delete", "crd", "resourcesyncconfigs.dot-ai.devopstoolkit.live", "--ignore-not-found")
	c.apply(t, read(t, "testdata/dot-ai-controller-0.47.yaml"))
	c.kubectl(t, nil, "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
	c.kubectl(t, nil, "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key=t")
	c.apply(t, read(t, root+"/config/samples/resourcesyncconfig/quick-start.yaml"))
	if said := c.warns(t, true); !strings.Contains(said, "dot-ai/dot-ai-controller-manager") {
		t.Errorf("dot-ai-controller reads the same objects, and the controller says %q", said)
	}
	if said := c.warns(t, false); said != "" {
		t.Errorf("dot-ai-controller does not read the environment, and the controller says %q", said)
	}

	c.follow(t, steps(t, "### dot-ai-controller stays")...)
	if got := c.objects(t, "dot-ai", "deployments,statefulsets,resourcesyncconfigs"); !slices.Equal(got, []string{"deployment.apps/dot-ai-controller-manager", "statefulset.apps/k8s-vectordb-sync"}) {
		t.Errorf("where dot-ai-controller stays there are %v", got)
	}
	c.follow(t, "helm uninstall k8s-vectordb-sync --namespace dot-ai")

	c.apply(t, read(t, root+"/config/samples/resourcesyncconfig/quick-start.yaml"))
	c.follow(t, steps(t, "### dot-ai-controller goes, and its objects stay")[:4]...)
	want := []string{"resourcesyncconfig.dot-ai.devopstoolkit.live/default-sync", "statefulset.apps/dot-ai-controller"}
	if got := c.objects(t, "dot-ai", "deployments,statefulsets,resourcesyncconfigs"); !slices.Equal(got, want) {
		t.Errorf("where dot-ai-controller goes there are %v, want %v", got, want)
	}
	// The definition is still the other chart's: Helm left it alone.
	if label := c.kubectl(t, nil, "get", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live", "-o", `jsonpath={.metadata.labels.app\.kubernetes\.io/managed-by}`); len(label) > 0 {
		t.Errorf("the definition is managed by %s", label)
	}
	logs := steps(t, "### dot-ai-controller goes, and its objects stay")[4]
	selector := regexp.MustCompile(`-l (\S+)`).FindStringSubmatch(logs)[1]
	if pods := c.kubectl(t, nil, "get", "statefulset/dot-ai-controller", "-n", "dot-ai", "-o", `jsonpath=app.kubernetes.io/name={.spec.template.metadata.labels.app\.kubernetes\.io/name}`); string(pods) != selector {
		t.Errorf("the pods have %s, and %s looks for %s", pods, logs, selector)
	}
	c.follow(t, "helm uninstall dot-ai-controller --namespace dot-ai", "kubectl delete crd resourcesyncconfigs.dot-ai.devopstoolkit.live", "kubectl delete secret mcp-credentials -n dot-ai")
}

// removeNamespace removes the objects that other tests have left in a namespace; no controller here ends namespaces.
func (c *cluster) removeNamespace(t *testing.T, namespace string) {
	t.Helper()
	c.kubectl(t, nil, "delete", "serviceaccount,service,deployment,statefulset,role,rolebinding", "--all", "-n", namespace, "--ignore-not-found")
}
