package workload

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// custom is a type that an operator installs. The first version is the stored and the preferred one; others are
// served.
type custom struct {
	kind, plural, group string
	versions            []string
	cluster             bool // cluster-scoped
	weight              int
}

// customTypes bear the names of real operators' types, with two kinds of the same name in different groups (Cluster,
// Application), plurals that are no plain plurals, and versions of all three maturities.
func customTypes() []custom {
	return []custom{
		{"Certificate", "certificates", "cert-manager.io", []string{"v1"}, false, 12},
		{"CertificateRequest", "certificaterequests", "cert-manager.io", []string{"v1"}, false, 14},
		{"Issuer", "issuers", "cert-manager.io", []string{"v1"}, false, 3},
		{"ClusterIssuer", "clusterissuers", "cert-manager.io", []string{"v1"}, true, 1},
		{"Order", "orders", "acme.cert-manager.io", []string{"v1"}, false, 6},
		{"Application", "applications", "argoproj.io", []string{"v1alpha1"}, false, 10},
		{"AppProject", "appprojects", "argoproj.io", []string{"v1alpha1"}, false, 1},
		{"Rollout", "rollouts", "argoproj.io", []string{"v1alpha1"}, false, 4},
		{"Application", "applications", "app.k8s.io", []string{"v1beta1"}, false, 2},
		{"Composition", "compositions", "apiextensions.crossplane.io", []string{"v1"}, true, 2},
		{"CompositeResourceDefinition", "compositeresourcedefinitions", "apiextensions.crossplane.io", []string{"v1"}, true, 1},
		{"Bucket", "buckets", "s3.aws.upbound.io", []string{"v1beta2", "v1beta1"}, true, 4},
		{"Kafka", "kafkas", "kafka.strimzi.io", []string{"v1beta2"}, false, 2},
		{"KafkaTopic", "kafkatopics", "kafka.strimzi.io", []string{"v1beta2", "v1beta1"}, false, 10},
		{"KafkaUser", "kafkausers", "kafka.strimzi.io", []string{"v1beta2"}, false, 4},
		{"Cluster", "clusters", "postgresql.cnpg.io", []string{"v1"}, false, 4},
		{"ScheduledBackup", "scheduledbackups", "postgresql.cnpg.io", []string{"v1"}, false, 4},
		{"Cluster", "clusters", "cluster.x-k8s.io", []string{"v1beta2", "v1beta1"}, false, 1},
		{"MachineDeployment", "machinedeployments", "cluster.x-k8s.io", []string{"v1beta2", "v1beta1"}, false, 2},
		{"ServiceMonitor", "servicemonitors", "monitoring.coreos.com", []string{"v1"}, false, 12},
		{"PrometheusRule", "prometheusrules", "monitoring.coreos.com", []string{"v1"}, false, 8},
		{"Prometheus", "prometheuses", "monitoring.coreos.com", []string{"v1"}, false, 1},
		{"ExternalSecret", "externalsecrets", "external-secrets.io", []string{"v1", "v1beta1"}, false, 12},
		{"VirtualService", "virtualservices", "networking.istio.io", []string{"v1", "v1beta1", "v1alpha3"}, false, 8},
		{"HTTPRoute", "httproutes", "gateway.networking.k8s.io", []string{"v1", "v1beta1"}, false, 8},
		{"Gateway", "gateways", "gateway.networking.k8s.io", []string{"v1"}, false, 1},
		{"Kustomization", "kustomizations", "kustomize.toolkit.fluxcd.io", []string{"v1"}, false, 4},
		{"HelmRelease", "helmreleases", "helm.toolkit.fluxcd.io", []string{"v2"}, false, 4},
		{"ScaledObject", "scaledobjects", "keda.sh", []string{"v1alpha1"}, false, 3},
		{"ClusterPolicy", "clusterpolicies", "kyverno.io", []string{"v1"}, true, 2},
		{"MongoDBCommunity", "mongodbcommunity", "mongodbcommunity.mongodb.com", []string{"v1"}, false, 2},
		{"RedisCluster", "redisclusters", "redis.redis.opstreelabs.in", []string{"v1beta2"}, false, 2},
		{"InnoDBCluster", "innodbclusters", "mysql.oracle.com", []string{"v2"}, false, 2},
	}
}

func (c custom) typ() resource.Type {
	return resource.Type{Group: c.group, Version: c.versions[0], Resource: c.plural, Kind: c.kind, Namespaced: !c.cluster}
}

// definition returns the CustomResourceDefinition: an open schema, and a status of its own.
func (c custom) definition() *unstructured.Unstructured {
	open := map[string]any{"openAPIV3Schema": map[string]any{
		"type": "object", "x-kubernetes-preserve-unknown-fields": true,
	}}
	var versions []any
	for i, v := range c.versions {
		versions = append(versions, map[string]any{
			"name": v, "served": true, "storage": i == 0, "schema": open,
			"subresources": map[string]any{"status": map[string]any{}},
		})
	}
	scope := "Namespaced"
	if c.cluster {
		scope = "Cluster"
	}
	name := c.plural + "." + c.group
	metadata := map[string]any{"name": name}
	if strings.HasSuffix(c.group, ".k8s.io") { // these groups are reserved, and the server asks for an approval
		metadata["annotations"] = map[string]any{"api-approved.kubernetes.io": "unapproved, for a test"}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   metadata,
		"spec": map[string]any{
			"group": c.group,
			"scope": scope,
			"names": map[string]any{
				"kind": c.kind, "listKind": c.kind + "List", "plural": c.plural, "singular": strings.ToLower(c.kind),
			},
			"versions": versions,
		},
	}}
}

// template returns the template of objects of the type, for Plan.
func (c custom) template() template {
	t := c.typ()
	return template{
		Type:   t,
		Weight: c.weight,
		Status: "observedGeneration",
		Object: map[string]any{
			"apiVersion": t.APIVersion(),
			"kind":       t.Kind,
			"spec":       map[string]any{"revisionHistoryLimit": int64(3), "paused": false},
		},
	}
}

// Providers plans a control plane that many providers have filled: so many custom types in groups of thirty, each of
// two versions, and objects of each in the namespace default. [Apply] makes them.
func Providers(types, objects int) []Object {
	var definitions, all []Object
	for i := range types {
		c := custom{
			kind: fmt.Sprintf("Kind%d", i), plural: fmt.Sprintf("kind%ds", i), group: fmt.Sprintf("provider%d.example.com", i/30),
			versions: []string{"v1", "v1beta1"},
		}
		definitions = append(definitions, definition(c))
		t := c.template()
		for j := range objects {
			o := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(t.Object)}
			o.SetNamespace("default")
			o.SetName(fmt.Sprintf("object-%d", j))
			o.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "provider", "number": fmt.Sprint(j)})
			all = append(all, Object{Type: t.Type, Manifest: o, Owner: -1, template: &t})
		}
	}
	return append(definitions, all...)
}
