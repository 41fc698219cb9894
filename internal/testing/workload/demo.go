package workload

import (
	_ "embed" // for demo.yaml
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

//go:embed demo.yaml
var demoYAML []byte

// system is one namespace of the demo.
type system struct {
	Namespace   string `json:"namespace"`
	Team        string `json:"team"`
	Description string `json:"description"`
	Parts       []part `json:"parts"`
}

// part is one thing that a person would name. It becomes several objects.
type part struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	Component   string   `json:"component"`
	Description string   `json:"description"`
	Extras      []string `json:"extras"`
}

// demoKinds maps the kinds of parts to types, with kubectl's names.
var demoKinds = map[string]string{
	"Deployment":     "deployments.apps",
	"StatefulSet":    "statefulsets.apps",
	"DaemonSet":      "daemonsets.apps",
	"CronJob":        "cronjobs.batch",
	"argocd":         "applications.argoproj.io",
	"bucket":         "buckets.s3.aws.upbound.io",
	"certificate":    "certificates.cert-manager.io",
	"cnpg":           "clusters.postgresql.cnpg.io",
	"externalsecret": "externalsecrets.external-secrets.io",
	"issuer":         "clusterissuers.cert-manager.io",
	"kafka":          "kafkas.kafka.strimzi.io",
	"kyverno":        "clusterpolicies.kyverno.io",
	"mongodb":        "mongodbcommunity.mongodbcommunity.mongodb.com",
	"mysql":          "innodbclusters.mysql.oracle.com",
	"prometheus":     "prometheuses.monitoring.coreos.com",
	"redis":          "redisclusters.redis.redis.opstreelabs.in",
	"rule":           "prometheusrules.monitoring.coreos.com",
	"topic":          "kafkatopics.kafka.strimzi.io",
}

// demoExtras maps extras to types, and to the beginning of their descriptions.
var demoExtras = map[string]struct{ resource, prefix string }{
	"backup":  {"cronjobs.batch", "Nightly backup of: "},
	"config":  {"configmaps", "Configuration of: "},
	"hpa":     {"horizontalpodautoscalers.autoscaling", "Scales with the load: "},
	"ingress": {"ingresses.networking.k8s.io", "Public address of: "},
	"monitor": {"servicemonitors.monitoring.coreos.com", "Metrics are scraped from: "},
	"pdb":     {"poddisruptionbudgets.policy", "Keeps enough running of: "},
	"policy":  {"networkpolicies.networking.k8s.io", "Firewall around: "},
	"rbac":    {"serviceaccounts", "Identity of: "},
	"secret":  {"secrets", "Credentials of: "},
	"service": {"services", "Internal address of: "},
	"volume":  {"persistentvolumeclaims", "Disk of: "},
}

// Demo returns a cluster of a few hundred objects that a person recognises: shops, payments, databases, monitoring,
// with descriptions. [Apply] creates them.
func Demo() ([]Object, error) {
	var systems []system
	if err := yaml.UnmarshalStrict(demoYAML, &systems); err != nil {
		return nil, fmt.Errorf("reading the demo: %w", err)
	}
	all, err := templates()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*template)
	for i := range all {
		byName[all[i].Type.GroupResource()] = &all[i]
	}
	var plan []Object
	for _, s := range systems {
		plan = append(plan, namespace(s.Namespace, map[string]string{"team": s.Team}, s.Description))
	}
	for _, c := range customTypes() {
		plan = append(plan, definition(c))
	}
	for _, s := range systems {
		for _, p := range s.Parts {
			objects, err := s.objects(p, byName)
			if err != nil {
				return nil, err
			}
			plan = append(plan, objects...)
		}
	}
	return plan, nil
}

// objects returns the objects of a part: itself and its extras.
func (s system) objects(p part, byName map[string]*template) ([]Object, error) {
	t, ok := byName[demoKinds[p.Kind]]
	if !ok {
		return nil, fmt.Errorf("reading the demo: part %s/%s has the unknown kind %q", s.Namespace, p.Name, p.Kind)
	}
	objects := []Object{s.object(t, p, p.Name, p.Description)}
	for _, name := range p.Extras {
		extra := demoExtras[name]
		t, ok := byName[extra.resource]
		if !ok {
			return nil, fmt.Errorf("reading the demo: part %s/%s has the unknown extra %q", s.Namespace, p.Name, name)
		}
		suffix := ""
		if name == "backup" {
			suffix = "-backup"
		}
		objects = append(objects, s.object(t, p, p.Name+suffix, extra.prefix+p.Description))
	}
	return objects, nil
}

func (s system) object(t *template, p part, name, description string) Object {
	o := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(t.Object)}
	o.SetName(name)
	if t.Type.Namespaced {
		o.SetNamespace(s.Namespace)
	}
	o.SetLabels(map[string]string{
		"app.kubernetes.io/name":      p.Name,
		"app.kubernetes.io/component": p.Component,
		"app.kubernetes.io/part-of":   s.Namespace,
		"environment":                 "production",
		"team":                        s.Team,
	})
	o.SetAnnotations(map[string]string{"description": description})
	return Object{Type: t.Type, Manifest: o, Owner: -1, template: t}
}
