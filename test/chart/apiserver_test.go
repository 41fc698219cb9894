package chart_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// TestOnARealAPIServer runs all tests that need an API server on one: its start takes longer than all of them.
func TestOnARealAPIServer(t *testing.T) {
	helm(t)
	if testing.Short() {
		t.Skip("short")
	}
	c := controlplane.ForTest(t, controlplane.Options{})
	cluster := &cluster{ControlPlane: c, admin: kubernetes.NewForConfigOrDie(c.RESTConfig())}
	cluster.apply(t, read(t, "testdata/crds.yaml"))
	cluster.kubectl(t, nil, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	cluster.kubectl(t, nil, "create", "namespace", "monitoring")
	cluster.kubectl(t, nil, "create", "namespace", "team")
	t.Run("TakesEveryVariant", cluster.testTakesEveryVariant)
	t.Run("TakesEveryKustomization", cluster.testTakesEveryKustomization)
	t.Run("PermissionsSuffice", cluster.testPermissionsSuffice)
	t.Run("NarrowedPermissions", cluster.testNarrowedPermissions)
	t.Run("NamespacedPermissions", cluster.testNamespacedPermissions)
	t.Run("PermissionsWithoutSecrets", cluster.testPermissionsWithoutSecrets)
	t.Run("RunsOnOpenShift", cluster.testRunsOnOpenShift)
	t.Run("AppliedByTheServer", cluster.testAppliedByTheServer)
	t.Run("TakesWhatTheSchemaAllows", cluster.testTakesWhatTheSchemaAllows)
	t.Run("TheWayOverFromThePredecessor", cluster.testWayOverFromThePredecessor)
	t.Run("TheWayOverFromDotAIController", cluster.testWayOverFromDotAIController)
	t.Run("DeclaredReceivers", cluster.testDeclaredReceivers)
	t.Run("NotesNameWhatIsThere", cluster.testNotesNameWhatIsThere)
	t.Run("InstallsAsDocumented", cluster.testInstallsAsDocumented)
}

type cluster struct {
	*controlplane.ControlPlane
	admin kubernetes.Interface
}

func (c *cluster) kubectl(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	return mustRun(t, stdin, c.Kubectl(), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
}

func (c *cluster) apply(t *testing.T, objects []byte) {
	t.Helper()
	c.kubectl(t, objects, "apply", "--validate=strict", "-f", "-")
}

func (c *cluster) takes(t *testing.T, m manifests) {
	t.Helper()
	c.kubectl(t, m.yaml(t), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// newNamespace makes a namespace that enforces the strictest pod security, and removes it at the end.
func (c *cluster) newNamespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if _, err := c.admin.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func (c *cluster) testTakesEveryVariant(t *testing.T) {
	c.newNamespace(t, namespace)
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			m := template(t, values(t, variant)...)
			c.takes(t, m)
			if name != "everything about pods" { // whose proxy is not ours
				c.takesPod(t, m)
			}
		})
	}
}

// takesPod has the API server admit a pod of the StatefulSet into a restricted namespace. No controller creates one
// here.
func (c *cluster) takesPod(t *testing.T, m manifests) {
	t.Helper()
	template := statefulSet(t, m).Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name = "k8s-vectordb-sync-0"
	for _, claim := range statefulSet(t, m).Spec.VolumeClaimTemplates {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name})
	}
	_, err := c.admin.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: "Strict"})
	if err != nil {
		t.Errorf("the API server does not admit a pod: %v", err)
	}
}

func (c *cluster) testTakesEveryKustomization(t *testing.T) {
	c.newNamespace(t, namespace)
	for _, folder := range []string{"basic", "default", "samples/three-replicas", "samples/dot-ai"} {
		t.Run(folder, func(t *testing.T) {
			m := kustomize(t, folder)
			c.takes(t, m)
			c.takesPod(t, m)
		})
	}
}

// account applies the roles of the chart, rendered with these arguments, and returns clients with the controller's
// rights.
func (c *cluster) account(t *testing.T, release string, args ...string) (kubernetes.Interface, metadata.Interface) {
	t.Helper()
	ns := release + "-system"
	c.newNamespace(t, ns)
	raw := mustRun(t, nil, helm(t), append([]string{
		"template", release, chartDir, "--namespace", ns, offline,
		"--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml",
	}, args...)...)
	c.apply(t, raw)
	var name string
	for _, o := range parse(t, raw) {
		if o.GetKind() == "ServiceAccount" {
			name = o.GetName()
		}
	}
	config, err := c.ServiceAccountRESTConfig(t.Context(), ns, name)
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = rest.NoWarnings{} // the list includes deprecated types
	return kubernetes.NewForConfigOrDie(config), metadata.NewForConfigOrDie(config)
}

// listable returns every resource that can be listed and watched, as the account itself discovers them.
func listable(t *testing.T, client kubernetes.Interface) []schema.GroupVersionResource {
	t.Helper()
	lists, err := client.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatalf("discovering: %v", err)
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "watch"}}, lists)
	byName, err := discovery.GroupVersionResources(lists)
	if err != nil {
		t.Fatal(err)
	}
	var all []schema.GroupVersionResource
	for gvr := range byName {
		all = append(all, gvr)
	}
	return all
}

func (c *cluster) testPermissionsSuffice(t *testing.T) {
	client, meta := c.account(t, "wide")
	types := listable(t, client)
	if len(types) < 40 {
		t.Errorf("%d types can be listed: too little was tested", len(types))
	}
	for _, gvr := range types {
		if err := listAndWatch(t.Context(), meta, gvr); err != nil {
			t.Errorf("%s: %v", gvr, err)
		}
	}
	own := "wide-system"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "member"}}
	checkpoint := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "checkpoint"}}
	_, leaseErr := client.CoordinationV1().Leases(own).Create(t.Context(), lease, metav1.CreateOptions{})
	_, mapErr := client.CoreV1().ConfigMaps(own).Create(t.Context(), checkpoint, metav1.CreateOptions{})
	_, clusterErr := client.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	for what, err := range map[string]error{"its Lease": leaseErr, "its checkpoint": mapErr, "the cluster's UID": clusterErr} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, a := range map[string]authorizationv1.SelfSubjectAccessReviewSpec{
		"renewing its Lease":      onResource("update", "coordination.k8s.io", "leases", own),
		"removing a dead Lease":   onResource("delete", "coordination.k8s.io", "leases", own),
		"removing a checkpoint":   onResource("delete", "", "configmaps", own),
		"asking who a caller is":  onResource("create", "authentication.k8s.io", "tokenreviews", ""),
		"asking what it may do":   onResource("create", "authorization.k8s.io", "subjectaccessreviews", ""),
		"reading its own metrics": {NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}},
	} {
		if !may(t, client, a) {
			t.Errorf("%s is not allowed", what)
		}
	}
	for what, a := range map[string]authorizationv1.SelfSubjectAccessReviewSpec{
		"reading a Secret":                  onResource("get", "", "secrets", own),
		"deleting a Pod":                    onResource("delete", "", "pods", own),
		"taking part in another ring":       onResource("update", "coordination.k8s.io", "leases", "kube-system"),
		"writing a foreign ConfigMap":       onResource("update", "", "configmaps", "kube-system"),
		"giving itself permissions":         onResource("create", rbacv1.GroupName, "clusterrolebindings", ""),
		"acting as somebody else":           onResource("impersonate", "", "users", ""),
		"reading the log of the API server": {NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/logs", Verb: "get"}},
	} {
		if may(t, client, a) {
			t.Errorf("%s is allowed", what)
		}
	}
}

func (c *cluster) testNarrowedPermissions(t *testing.T) {
	client, meta := c.account(t, "narrow", "--set", "config.watchResourceTypes={deployments,services.v1,customresourcedefinitions}")
	allowed := map[schema.GroupResource]bool{
		{Group: "apps", Resource: "deployments"}:                               true,
		{Resource: "services"}:                                                 true,
		{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: true,
		{Group: "apiregistration.k8s.io", Resource: "apiservices"}:             true,
		// Kubernetes itself lets every account list these.
		{Group: "certificates.k8s.io", Resource: "clustertrustbundles"}: true,
	}
	for _, gvr := range listable(t, client) {
		err := listAndWatch(t.Context(), meta, gvr)
		switch {
		case allowed[gvr.GroupResource()] && err != nil:
			t.Errorf("%s: %v", gvr, err)
		case !allowed[gvr.GroupResource()] && !apierrors.IsForbidden(err):
			t.Errorf("%s: error %v, want forbidden", gvr, err)
		}
	}
}

func listAndWatch(ctx context.Context, client metadata.Interface, gvr schema.GroupVersionResource) error {
	list, err := client.Resource(gvr).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	w, err := client.Resource(gvr).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	w.Stop()
	return nil
}

func onResource(verb, group, resource, namespace string) authorizationv1.SelfSubjectAccessReviewSpec {
	return authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: verb, Group: group, Resource: resource, Namespace: namespace,
	}}
}

func may(t *testing.T, client kubernetes.Interface, spec authorizationv1.SelfSubjectAccessReviewSpec) bool {
	t.Helper()
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// This runs the commands of the README, as they are printed there, and the later life of a release.
func (c *cluster) testInstallsAsDocumented(t *testing.T) {
	// The namespace of the other tests has objects that would be in the way, and no controller here ends namespaces.
	const other = "k8s-vectordb-sync-documented"
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	t.Setenv("HELM_CACHE_HOME", t.TempDir())
	helm := func(command string) {
		t.Helper()
		mustRun(t, nil, helm(t), append(strings.Fields(command), "--namespace", other)...)
	}
	helm("install k8s-vectordb-sync " + chartDir + " --create-namespace --set config.restEndpoint=" + endpoint)
	c.kubectl(t, nil, "get", "service", "k8s-vectordb-sync", "k8s-vectordb-sync-controller-manager-metrics-service", "-n", other)
	c.kubectl(t, nil, "get", "clusterrole", "k8s-vectordb-sync-metrics-reader")
	if token := c.kubectl(t, nil, "create", "token", "k8s-vectordb-sync-controller-manager", "-n", other); len(token) == 0 {
		t.Error("kubectl create token printed nothing")
	}
	replicas := func() string {
		t.Helper()
		return string(c.kubectl(t, nil, "get", "statefulset", "k8s-vectordb-sync", "-n", other, "-o", "jsonpath={.spec.replicas}"))
	}
	if got := replicas(); got != "1" {
		t.Errorf("%s replicas, want 1", got)
	}
	helm("upgrade k8s-vectordb-sync " + chartDir + " --reuse-values --set replicaCount=3")
	if got := replicas(); got != "3" {
		t.Errorf("%s replicas after the upgrade, want 3", got)
	}
	helm("upgrade k8s-vectordb-sync " + chartDir + " --reuse-values --set config.watchResourceTypes={deployments,services}")
	helm("rollback k8s-vectordb-sync 1")
	if got := replicas(); got != "1" {
		t.Errorf("%s replicas after the rollback, want 1", got)
	}
	helm("uninstall k8s-vectordb-sync")
	if left := c.kubectl(t, nil, "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance=k8s-vectordb-sync", "-o", "name"); len(left) > 0 {
		t.Errorf("left over after the release is gone: %s", left)
	}
}

// People copy the commands that Helm prints after an installation.
func (c *cluster) testNotesNameWhatIsThere(t *testing.T) {
	t.Setenv("KUBECONFIG", c.Kubeconfig())
	notes := func(args ...string) string {
		args = append([]string{"install", release, chartDir, "--namespace", "documented-by-notes", "--dry-run=server"}, args...)
		_, notes, found := strings.Cut(string(mustRun(t, nil, helm(t), args...)), "\nNOTES:\n")
		if !found {
			t.Fatal("helm prints no notes")
		}
		return notes
	}
	m := template(t)
	text := notes("--set", "config.restEndpoint="+endpoint)
	for _, match := range regexp.MustCompile(`svc/(\S+)`).FindAllStringSubmatch(text, -1) {
		if m.find("Service/"+match[1]) == nil {
			t.Errorf("the notes name Service %s, which is not there", match[1])
		}
	}
	if strings.Contains(text, "WARNING") {
		t.Errorf("the notes warn of a good installation:\n%s", text)
	}
	for want, args := range map[string][]string{
		"no receiver is given":    nil,
		"dot-ai asks for a token": {"--set", "config.endpointFormat=dot-ai"},
		"rbac.create is false":    {"--set", "rbac.create=false"},
		"api-editor":              {"--set", "config.apiAuth=true"},
	} {
		if text := notes(args...); !strings.Contains(text, want) {
			t.Errorf("helm install %v: want %q in the notes:\n%s", args, want, text)
		}
	}
}
