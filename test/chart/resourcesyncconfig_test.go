package chart_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	syncs "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
)

const definition = "CustomResourceDefinition/resourcesyncconfigs.dot-ai.devopstoolkit.live"

func TestDefinitionIsInstalledOnDemandAndStays(t *testing.T) {
	t.Parallel()
	if o := template(t).find(definition); o != nil {
		t.Error("it is installed although nobody asked for it")
	}
	if o := template(t, "--set", "resourceSyncConfig.enabled=true,resourceSyncConfig.crd.install=false").find(definition); o != nil {
		t.Error("it is installed although it is switched off")
	}
	got := template(t, "--set", "resourceSyncConfig.enabled=true").find(definition)
	if got == nil || got.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
		t.Fatal("it is not installed, or would go with the release")
	}
	raw, err := os.ReadFile(root + "/config/crd/dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := yaml.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want["spec"], got.Object["spec"], numbers); diff != "" {
		t.Errorf("definition (-config/crd +chart):\n%s", diff)
	}
}

// numbers compares numbers by value: two parsers of YAML make two types of them.
var numbers = cmp.FilterValues(func(a, b any) bool { return isNumber(a) && isNumber(b) },
	cmp.Comparer(func(a, b any) bool { return asFloat(a) == asFloat(b) }))

func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}

func asFloat(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	f, _ := v.(float64)
	return f
}

func TestSecretsMayBeReadWhereAndAsFarAsAsked(t *testing.T) {
	t.Parallel()
	const role = "ClusterRole/k8s-vectordb-sync-resourcesyncconfig-role"
	credentials := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "watch"}}
	base := []rbacv1.PolicyRule{
		{APIGroups: []string{"dot-ai.devopstoolkit.live"}, Resources: []string{"resourcesyncconfigs"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"dot-ai.devopstoolkit.live"}, Resources: []string{"resourcesyncconfigs/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	wide := template(t, "--set", "resourceSyncConfig.enabled=true")
	if diff := cmp.Diff(append(base, credentials), decode[rbacv1.ClusterRole](t, wide, role).Rules); diff != "" {
		t.Errorf("rules of all namespaces (-want +got):\n%s", diff)
	}
	narrow := template(t, "--set", "resourceSyncConfig.enabled=true,resourceSyncConfig.secrets.namespaces={team},resourceSyncConfig.secrets.names={a,b}")
	if diff := cmp.Diff(base, decode[rbacv1.ClusterRole](t, narrow, role).Rules); diff != "" {
		t.Errorf("rules of one namespace, cluster-wide (-want +got):\n%s", diff)
	}
	credentials.ResourceNames = []string{"a", "b"}
	got := decode[rbacv1.Role](t, narrow, "Role/k8s-vectordb-sync-credentials-role")
	if diff := cmp.Diff([]rbacv1.PolicyRule{credentials}, got.Rules); diff != "" || got.Namespace != "team" {
		t.Errorf("rules in namespace %s (-want +got):\n%s", got.Namespace, diff)
	}
	if template(t).find(role) != nil {
		t.Error("the role is there although nothing is to be declared")
	}
}

func TestNetworkPolicyLetsOutToDeclaredReceivers(t *testing.T) {
	t.Parallel()
	m := template(t, "--set", "networkPolicy.enabled=true,resourceSyncConfig.enabled=true")
	egress := decode[networkingv1.NetworkPolicy](t, m, "NetworkPolicy/k8s-vectordb-sync").Spec.Egress
	last := egress[len(egress)-1]
	if len(last.Ports) != 1 || last.Ports[0].Port != nil || len(last.To) != 0 {
		t.Errorf("the last egress rule is %+v, want every TCP port", last)
	}
}

// steady is a target without any trouble.
type steady struct{}

func (steady) Set(syncs.Target) error { return nil }
func (steady) Stop(string)            {}
func (steady) Remove(string)          {}
func (steady) Known([]string)         {}
func (steady) Retry(string)           {}
func (steady) Owns(string) bool       { return true }
func (steady) Report(string) (status.Report, bool) {
	return status.Report{Active: true, WatchedTypes: 2}, true
}

// testDeclaredReceivers runs the real controller with the smallest rights that the chart allows.
func (c *cluster) testDeclaredReceivers(t *testing.T) {
	args := []string{"--set", "config.watchResourceTypes={deployments},resourceSyncConfig.enabled=true," +
		"resourceSyncConfig.secrets.namespaces={team},resourceSyncConfig.secrets.names={mcp-credentials}"}
	c.newNamespace(t, "declared-system")
	c.apply(t, mustRun(t, nil, helm(t), append([]string{
		"template", "declared", chartDir, "--namespace", "declared-system", offline, "--show-only", "templates/crd.yaml",
		"--show-only", "templates/resourcesyncconfig-rbac.yaml", "--show-only", "templates/serviceaccount.yaml",
	}, args...)...))
	c.kubectl(t, nil, "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
	config, err := c.ServiceAccountRESTConfig(t.Context(), "declared-system", "declared-k8s-vectordb-sync-controller-manager")
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	for what, a := range map[string]authorizationv1.SelfSubjectAccessReviewSpec{
		"listing all Secrets of the namespace": onResource("list", "", "secrets", "team"),
		"listing Secrets elsewhere":            onResource("list", "", "secrets", "kube-system"),
		"changing a receiver":                  onResource("update", "dot-ai.devopstoolkit.live", "resourcesyncconfigs", "team"),
	} {
		if may(t, client, a) {
			t.Errorf("%s is allowed", what)
		}
	}
	ctrllog.SetLogger(logr.Discard())
	controller, err := syncs.New(config, steady{}, syncs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c.kubectl(t, nil, "create", "secret", "generic", "mcp-credentials", "-n", "team", "--from-literal=api-key=t")
	c.apply(t, bytes.ReplaceAll(read(t, root+"/config/samples/resourcesyncconfig/quick-start.yaml"), []byte("namespace: dot-ai"), []byte("namespace: team")))
	c.kubectl(t, nil, "wait", "--for=condition=Ready", "--timeout=60s", "resourcesyncconfig/default-sync", "-n", "team")
	for deadline := time.Now().Add(time.Minute); ; {
		events, err := c.admin.CoreV1().Events("team").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(events.Items) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no Event was recorded")
		}
	}
}
