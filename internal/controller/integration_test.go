//go:build integration

package controller_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// patience bounds every wait for a real API server on a busy machine.
const patience = 60 * time.Second

// agent is the name of controllers in their requests.
const agent = "controller-under-test"

const definition = "../../config/crd/dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml"

// quickStart is an object as a user of dot-ai writes it.
const quickStart = `apiVersion: dot-ai.devopstoolkit.live/v1alpha1
kind: ResourceSyncConfig
metadata:
  name: default-sync
  namespace: dot-ai
spec:
  mcpEndpoint: http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync
  mcpAuthSecretRef:
    name: mcp-credentials
    key: api-key
  debounceWindowSeconds: 10
  resyncIntervalMinutes: 60
`

// cluster is a real API server and the real kubectl.
type cluster struct {
	cp *controlplane.ControlPlane
}

func (c cluster) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // cleanups use it as well
	defer cancel()
	cmd := exec.CommandContext(ctx, c.cp.Kubectl(), append([]string{"--kubeconfig", c.cp.Kubeconfig(), "--cache-dir", t.TempDir()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// kubectl runs a command that must succeed.
func (c cluster) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(t, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// ready returns status, reason and message of the condition Ready.
func (c cluster) ready(t *testing.T, namespace, name string) string {
	t.Helper()
	return c.kubectl(t, "", "get", "resourcesyncconfig", name, "-n", namespace, "-o",
		`jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}`)
}

// start runs a controller until the test ends.
func (c cluster) start(t *testing.T, config *rest.Config, targets controller.Targets) {
	t.Helper()
	config.QPS, config.UserAgent = -1, agent
	ctrl, err := controller.New(config, targets, controller.Options{Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ctrl.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with %v", err)
		}
		c.try(t, "", "delete", "resourcesyncconfig", "--all", "-A")
	})
}

// TestOnARealAPIServer proves the controller and its definition against etcd, kube-apiserver and kubectl.
func TestOnARealAPIServer(t *testing.T) {
	ctrllog.SetLogger(logr.Discard())
	c := cluster{controlplane.ForTest(t, controlplane.Options{AuditLog: true})}
	c.kubectl(t, "", "create", "namespace", "dot-ai")
	t.Run("OlderDefinition", c.testOlderDefinition) // before any other definition is installed
	c.kubectl(t, "", "delete", "-f", definition)
	t.Run("DefinitionInstalledLater", c.testDefinitionInstalledLater)
	t.Run("QuickStart", c.testQuickStart)
	t.Run("Refusals", c.testRefusals)
	t.Run("Secret", c.testSecret)
	t.Run("Troubles", c.testTroubles)
	t.Run("Explain", c.testExplain)
	t.Run("Requests", c.testRequests) // the requests of all tests above
}

// install has the API server serve a definition.
func (c cluster) install(t *testing.T, path string) {
	t.Helper()
	c.kubectl(t, "", "apply", "--server-side", "--force-conflicts", "-f", path)
	c.kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
}

func (c cluster) apply(t *testing.T, object string) {
	t.Helper()
	// A definition is served some moments after it is Established.
	gomega.NewWithT(t).Eventually(func() error {
		out, err := c.try(t, object, "apply", "--validate=ignore", "-f", "-")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}, patience).Should(gomega.Succeed())
}

func (c cluster) secret(t *testing.T, token string) {
	t.Helper()
	made := c.kubectl(t, "", "create", "secret", "generic", "mcp-credentials", "--namespace", "dot-ai", "--from-literal=api-key="+token, "--dry-run=client", "-o", "yaml")
	c.kubectl(t, made, "apply", "-f", "-")
}

// eventually waits until the condition Ready of default-sync begins with a text.
func (c cluster) eventually(t *testing.T, want string) string {
	t.Helper()
	var got string
	gomega.NewWithT(t).Eventually(func() string {
		got = c.ready(t, "dot-ai", "default-sync")
		return got
	}, patience).Should(gomega.HavePrefix(want))
	return got
}

func (c cluster) testDefinitionInstalledLater(t *testing.T) {
	targets := newFakeTargets()
	targets.report("*", syncing)
	c.start(t, c.cp.RESTConfig(), targets)
	c.secret(t, "your-api-key-here")
	c.install(t, definition)
	c.apply(t, quickStart)
	c.eventually(t, "True Syncing")
}

func (c cluster) testQuickStart(t *testing.T) {
	targets := newFakeTargets()
	targets.report("*", syncing)
	c.start(t, c.cp.RESTConfig(), targets)
	c.kubectl(t, "", "delete", "secret", "mcp-credentials", "-n", "dot-ai")
	c.kubectl(t, "", "create", "secret", "generic", "mcp-credentials", "--namespace", "dot-ai", "--from-literal=api-key=your-api-key-here")
	if out := c.kubectl(t, quickStart, "apply", "-f", "-"); strings.Contains(out, "Warning") {
		t.Errorf("kubectl apply: %s", out)
	}
	c.eventually(t, "True Syncing")
	target, _ := targets.get("dot-ai.default-sync")
	token, err := target.Token()
	if err != nil || token != "your-api-key-here" {
		t.Errorf("token %q, %v", token, err)
	}
	got := map[string]string{}
	want := map[string]string{
		"active": "true", "watchedResourceTypes": "65", "totalResourcesSynced": "20243", "lastSyncTime": "2026-01-15T10:30:00Z",
		"lastResyncTime": "2026-01-15T10:00:00Z", "syncErrors": "2", "lastError": "connection refused", "observedGeneration": "1",
	}
	for f := range want {
		got[f] = c.kubectl(t, "", "get", "resourcesyncconfig", "default-sync", "-n", "dot-ai", "-o", fmt.Sprintf("jsonpath={.status.%s}", f))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	table := strings.Split(c.kubectl(t, "", "get", "resourcesyncconfig", "-n", "dot-ai", "-o", "wide"), "\n")
	header := "NAME READY ACTIVE WATCHED SYNCED LAST SYNC ERRORS AGE REASON ENDPOINT"
	row := regexp.MustCompile(`^default-sync +True +true +65 +20243 +[0-9a-z]+ +2 +[0-9a-z]+ +Syncing +http://dot-ai\.dot-ai\.svc\.cluster\.local:3456/api/v1/resources/sync$`)
	if strings.Join(strings.Fields(table[0]), " ") != header || !row.MatchString(strings.TrimSpace(table[1])) {
		t.Errorf("kubectl get:\n%s", strings.Join(table, "\n"))
	}
	c.kubectl(t, "", "delete", "resourcesyncconfig", "default-sync", "-n", "dot-ai")
	gomega.NewWithT(t).Eventually(func() bool { _, ok := targets.get("dot-ai.default-sync"); return ok }, patience).Should(gomega.BeFalse())
}

func (c cluster) testRefusals(t *testing.T) {
	base := strings.NewReplacer("name: default-sync", "name: refused").Replace(quickStart)
	const field = "  mcpEndpoint: http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync\n"
	at := func(url string) string { return strings.Replace(base, field, "  mcpEndpoint: "+url+"\n", 1) }
	with := func(lines string) string { return base + lines }
	for name, test := range map[string]struct{ object, want string }{
		"no endpoint":           {strings.Replace(base, field, "", 1), "spec.mcpEndpoint: Required value"},
		"no Secret":             {strings.Replace(base, "    name: mcp-credentials\n", "", 1), "spec.mcpAuthSecretRef.name: Required value"},
		"no scheme":             {at("dot-ai.dot-ai.svc:3456/api"), "must be a full URL with scheme and host, such as http://"},
		"a path alone":          {at("/api/v1/resources/sync"), "must be a full URL with scheme and host"},
		"another scheme":        {at("ftp://dot-ai/"), "must be a full URL with scheme and host"},
		"no host":               {at("http:///api"), "must be a full URL with scheme and host"},
		"a password":            {at("http://me:hush@dot-ai/"), "must not hold a user or password"},
		"a query":               {at("http://dot-ai/?a=b"), "must not have a query or a fragment"},
		"a fragment":            {at("'http://dot-ai/#a'"), "must not have a query or a fragment"},
		"no debounce":           {strings.Replace(base, "Seconds: 10", "Seconds: 0", 1), "spec.debounceWindowSeconds: Invalid value: 0: spec.debounceWindowSeconds in body should be greater than or equal to 1"},
		"long debounce":         {strings.Replace(base, "Seconds: 10", "Seconds: 301", 1), "should be less than or equal to 300"},
		"no resync":             {strings.Replace(base, "Minutes: 60", "Minutes: 0", 1), "spec.resyncIntervalMinutes in body should be greater than or equal to 1"},
		"seldom resync":         {strings.Replace(base, "Minutes: 60", "Minutes: 1441", 1), "should be less than or equal to 1440"},
		"unknown format":        {with("  format: qdrant\n"), `supported values: "dot-ai", "cluster-whisperer"`},
		"malformed type":        {with("  watchResourceTypes: [apps/v1]\n"), "spec.watchResourceTypes[0]"},
		"malformed namespace":   {with("  excludeNamespaces: [Shop]\n"), "spec.excludeNamespaces[0]"},
		"a type twice":          {with("  excludeResourceTypes: [a, a]\n"), "Duplicate value"},
		"large batches":         {with("  batchMaxSize: 1001\n"), "should be less than or equal to 1000"},
		"many requests":         {with("  maxInFlight: 101\n"), "should be less than or equal to 100"},
		"authority for nothing": {with("  caBundle: YWJj\n"), "caBundle is of use with an https endpoint only"},
		"a misspelled field":    {with("  debounceSeconds: 5\n"), `unknown field "spec.debounceSeconds"`},
	} {
		out, err := c.try(t, test.object, "apply", "-f", "-")
		if err == nil || !strings.Contains(out, test.want) {
			t.Errorf("%s: kubectl apply says %q, want %q", name, out, test.want)
		}
	}
	const every = "../../config/samples/resourcesyncconfig/every-field.yaml"
	c.kubectl(t, "", "apply", "--dry-run=server", "--validate=strict", "-f", every)
	// Defaults are those that users of the older controller know.
	minimal, _, _ := strings.Cut(base, "  debounceWindowSeconds")
	got := c.kubectl(t, minimal, "apply", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec.debounceWindowSeconds} {.spec.resyncIntervalMinutes} {.spec.format}")
	if got != "10 60 dot-ai" {
		t.Errorf("defaults %q", got)
	}
}

func (c cluster) testSecret(t *testing.T) {
	g := gomega.NewWithT(t)
	targets := newFakeTargets()
	targets.report("*", syncing)
	c.kubectl(t, "", "delete", "secret", "mcp-credentials", "-n", "dot-ai")
	c.start(t, c.cp.RESTConfig(), targets)
	c.apply(t, quickStart)
	message := c.eventually(t, "False SecretNotFound")
	_, todo, _ := strings.Cut(message, "Create it: kubectl ")
	args := strings.Fields(strings.ReplaceAll(todo, "<token>", "token-1"))
	c.kubectl(t, "", args...) // the command in the message
	token := func() string {
		target, ok := targets.get("dot-ai.default-sync")
		if !ok {
			return "not running"
		}
		token, err := target.Token()
		if err != nil {
			return err.Error()
		}
		return token
	}
	g.Eventually(token, patience).Should(gomega.Equal("token-1"))
	c.secret(t, "token-2")
	g.Eventually(token, patience).Should(gomega.Equal("token-2"))
	g.Eventually(func() int { _, _, retries := targets.count("dot-ai.default-sync"); return retries }, patience).Should(gomega.Equal(1))
	c.eventually(t, "True Syncing")
	c.kubectl(t, "", "delete", "secret", "mcp-credentials", "-n", "dot-ai")
	c.eventually(t, "False SecretNotFound")
	if got := token(); !strings.Contains(got, "does not exist") {
		t.Errorf("without the Secret, the token is %q", got)
	}
	c.secret(t, "token-3")
	g.Eventually(token, patience).Should(gomega.Equal("token-3"))
	if _, sets, _ := targets.count("dot-ai.default-sync"); sets != 1 {
		t.Errorf("the target was set %d times", sets)
	}
}

// testTroubles shows the status of a receiver in trouble, as a person sees it.
func (c cluster) testTroubles(t *testing.T) {
	g := gomega.NewWithT(t)
	targets := newFakeTargets()
	c.secret(t, "token-1")
	c.start(t, c.cp.RESTConfig(), targets)
	degraded := func(k wire.Kind, why string) status.Report {
		return status.Report{Active: true, WatchedTypes: 65, Dirty: 1, SyncErrors: 1, LastError: why, Degraded: true, Kind: k, Reason: why}
	}
	targets.report("*", degraded(wire.Retry, "dial tcp: lookup dot-ai: no such host"))
	c.apply(t, quickStart)
	c.eventually(t, "False ReceiverUnavailable: The receiver cannot be reached, or takes nothing now: dial tcp: lookup dot-ai: no such host.")
	targets.report("*", degraded(wire.WrongEndpoint, "404"))
	c.eventually(t, "False WrongEndpoint: What answers at spec.mcpEndpoint is not a receiver of spec.format: 404. Correct the URL")
	targets.report("*", status.Report{Active: true, Forbidden: true, DiscoveryIncomplete: "deployments.apps"})
	c.eventually(t, "False MissingPermissions: The controller may list and watch none of the resource types that are to be sent. Grant its ServiceAccount list and watch on them: deployments.apps")
	targets.report("*", syncing)
	c.eventually(t, "True Syncing")
	reasons := []string{"ReceiverUnavailable", "WrongEndpoint", "MissingPermissions", "Syncing"}
	g.Eventually(func() []string {
		return strings.Fields(c.kubectl(t, "", "get", "events", "-n", "dot-ai", "--field-selector", "involvedObject.name=default-sync", "-o", "jsonpath={.items[*].reason}"))
	}, patience).Should(gomega.ContainElements(reasons))
}

func (c cluster) testExplain(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"resourcesyncconfig", "brings the receiver to the state of this cluster and keeps it there"},
		{"resourcesyncconfig.spec.mcpAuthSecretRef", "from the next request on, and waits for a Secret that is missing."},
		{"resourcesyncconfig.status", "Resources whose current state the receiver has acknowledged."},
	} {
		out := c.kubectl(t, "", "explain", test.path)
		if !strings.Contains(strings.Join(strings.Fields(out), " "), test.want) { // kubectl breaks lines
			t.Errorf("kubectl explain %s:\n%s", test.path, out)
		}
		for line := range strings.Lines(out) {
			if text := strings.TrimSpace(line); strings.HasPrefix(text, "+") || strings.Contains(text, "kubebuilder") {
				t.Errorf("kubectl explain %s shows %q", test.path, text)
			}
		}
	}
}

// testOlderDefinition has a hundred objects that an older definition has let through, ninety of them wrong.
func (c cluster) testOlderDefinition(t *testing.T) {
	g := gomega.NewWithT(t)
	c.install(t, "testdata/older-definition.yaml")
	c.secret(t, "token-1")
	c.kubectl(t, "", "create", "secret", "generic", "empty", "--namespace", "dot-ai", "--from-literal=api-key=")
	endpoints := []string{"", "dot-ai:3456", "/api", "ftp://dot-ai/", "http://", "http://a b/", "http://dot-ai:0/", "http://me:hush@dot-ai/", "http://dot-ai/?q=1"}
	var all strings.Builder
	object := func(name, endpoint, secret, key string, debounce, resync int) {
		fmt.Fprintf(&all, "---\napiVersion: dot-ai.devopstoolkit.live/v1alpha1\nkind: ResourceSyncConfig\nmetadata: {name: %s, namespace: dot-ai}\n"+
			"spec:\n  mcpEndpoint: %q\n  mcpAuthSecretRef: {name: %q, key: %q}\n  debounceWindowSeconds: %d\n  resyncIntervalMinutes: %d\n",
			name, endpoint, secret, key, debounce, resync)
	}
	want := map[string]string{}
	for i := range 90 {
		name, good := fmt.Sprintf("wrong-%02d", i), fmt.Sprintf("http://receiver-%d/", i)
		switch i % 6 {
		case 0:
			object(name, endpoints[i/6%len(endpoints)], "mcp-credentials", "api-key", 10, 60)
			want[name] = "InvalidSpec"
		case 1:
			object(name, good, fmt.Sprintf("missing-%d", i), "api-key", 10, 60)
			want[name] = "SecretNotFound"
		case 2:
			object(name, good, "mcp-credentials", fmt.Sprintf("key-%d", i), 10, 60)
			want[name] = "SecretKeyNotFound"
		case 3:
			object(name, good, "empty", "api-key", 10, 60)
			want[name] = "SecretEmpty"
		case 4:
			object(name, good, "mcp-credentials", "api-key", 301+i, 60)
			want[name] = "InvalidSpec"
		case 5:
			object(name, good, "", "", 10, -i)
			want[name] = "InvalidSpec"
		}
	}
	for i := range 10 {
		name := fmt.Sprintf("good-%d", i)
		object(name, fmt.Sprintf("http://good-%d/", i), "mcp-credentials", "api-key", 0, 0)
		want[name] = "Syncing"
	}
	targets := newFakeTargets()
	targets.report("*", syncing)
	c.start(t, c.cp.RESTConfig(), targets)
	c.apply(t, all.String())
	reasons := func() map[string]string {
		got := map[string]string{}
		out := c.kubectl(t, "", "get", "resourcesyncconfigs", "-n", "dot-ai", "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].reason}{"\n"}{end}`)
		for line := range strings.Lines(out) {
			name, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
			got[name] = reason
		}
		return got
	}
	g.Eventually(reasons, patience).Should(gomega.Equal(want))
	running, _, _ := targets.count("")
	if running != 10 {
		t.Errorf("%d targets run, want the 10 good ones", running)
	}
	// A newer definition validates more fields and refuses more, but not objects that exist already.
	c.install(t, definition)
	r := syncing
	r.Synced++
	targets.report("*", r)
	c.kubectl(t, "", "create", "secret", "generic", "missing-1", "--namespace", "dot-ai", "--from-literal=api-key=token-1")
	want["wrong-01"] = "Syncing"
	g.Eventually(reasons, patience).Should(gomega.Equal(want))
	g.Eventually(func() string {
		return c.kubectl(t, "", "get", "resourcesyncconfig", "good-0", "-n", "dot-ai", "-o", "jsonpath={.status.totalResourcesSynced} {.status.observedGeneration}")
	}, patience).Should(gomega.Equal("20244 1"))
	if _, sets, _ := targets.count("dot-ai.good-0"); sets != 1 {
		t.Errorf("a good target was set %d times", sets)
	}
}

// testRequests looks at all requests of controllers to the API server.
func (c cluster) testRequests(t *testing.T) {
	events, err := c.cp.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	secrets, writes := 0, map[string]int{}
	for _, e := range events {
		if e.UserAgent != agent {
			continue
		}
		switch {
		case e.Resource == "secrets":
			secrets++
			if !strings.Contains(e.URI, "fieldSelector=metadata.name%3D") || e.Namespace == "" {
				t.Errorf("asked for more than one Secret: %s %s", e.Verb, e.URI)
			}
		case e.Resource == "resourcesyncconfigs" && (e.Verb == "list" || e.Verb == "watch"), e.Resource == "events":
		case e.Verb == "patch" && e.Subresource == "status":
			writes[e.Name]++
		default:
			t.Errorf("asked to %s %s", e.Verb, e.URI)
		}
	}
	if secrets == 0 || writes["default-sync"] == 0 {
		t.Errorf("%d requests for Secrets, writes %v: too little was tested", secrets, writes)
	}
	for name, n := range writes {
		if strings.HasPrefix(name, "wrong-") && n > 3 { // one, one of the newer definition, one after its repair
			t.Errorf("the status of %s was written %d times", name, n)
		}
	}
}
