package workload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Options are the options of a generated cluster. The zero value makes 2,000 objects in 50 namespaces.
type Options struct {
	// Objects is how many objects there are, without namespaces and CustomResourceDefinitions. There is at least one
	// of each type, so there may be up to 80 more. Zero means 2,000.
	Objects int
	// Namespaces is how many namespaces there are beside those of the API server. Some hold much more than others.
	// Zero means 50.
	Namespaces int
	// Seed decides all random choices.
	Seed uint64
}

// Object is one object that is to be created.
type Object struct {
	// Type is the object's type.
	Type resource.Type
	// Manifest is the object. It has a generateName instead of a name where controllers would give it one.
	Manifest *unstructured.Unstructured
	// Owner is the index in the plan of the object that owns this one, smaller than its own; -1 means none.
	Owner int

	template *template
}

// Plan draws a cluster. Namespaces come first, then the definitions of custom types, then all other objects, owners
// before their own objects. The same options give the same plan.
func Plan(opts Options) ([]Object, error) {
	if opts.Objects == 0 {
		opts.Objects = 2000
	}
	if opts.Namespaces == 0 {
		opts.Namespaces = 50
	}
	all, err := templates()
	if err != nil {
		return nil, err
	}
	weights := 0
	for _, t := range all {
		weights += t.Weight
	}
	p := planner{rng: rand.New(rand.NewPCG(opts.Seed, 1)), byResource: make(map[string][]int)}
	p.namespacesAndDefinitions(opts.Namespaces)
	for i := range all {
		t := &all[i]
		for range max(1, opts.Objects*t.Weight/weights) {
			p.add(t)
		}
	}
	return p.plan, nil
}

type planner struct {
	rng        *rand.Rand
	plan       []Object
	namespaces []string
	// byResource holds indexes into plan, by plural name, for objects that need an owner.
	byResource map[string][]int
}

func (p *planner) namespacesAndDefinitions(n int) {
	for i := range n {
		name := fmt.Sprintf("%s-%s-%d", pick(p.rng, teams), pick(p.rng, environments), i)
		p.namespaces = append(p.namespaces, name)
		p.plan = append(p.plan, namespace(name, map[string]string{"team": pick(p.rng, teams)}, ""))
	}
	for _, c := range customTypes() {
		p.plan = append(p.plan, definition(c))
	}
}

func namespace(name string, labels map[string]string, description string) Object {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	o.SetLabels(labels)
	if description != "" {
		o.SetAnnotations(map[string]string{"description": description})
	}
	return Object{Type: resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}, Manifest: o, Owner: -1}
}

func definition(c custom) Object {
	return Object{
		Type: resource.Type{
			Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition",
		},
		Manifest: c.definition(),
		Owner:    -1,
	}
}

// add draws one object of a type.
func (p *planner) add(t *template) {
	o := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(t.Object)}
	owner := -1
	if owners := p.byResource[t.Owner]; len(owners) > 0 {
		owner = pick(p.rng, owners)
	}
	switch {
	case !t.Type.Namespaced:
	case owner >= 0:
		o.SetNamespace(p.plan[owner].Manifest.GetNamespace())
	default: // the square makes a few namespaces crowded and many nearly empty
		f := p.rng.Float64()
		o.SetNamespace(p.namespaces[int(f*f*float64(len(p.namespaces)))])
	}
	app, component := pick(p.rng, apps), pick(p.rng, components)
	name := fmt.Sprintf("%s-%s-%d", app, component, len(p.plan))
	if t.GenerateName {
		o.SetGenerateName(name + "-")
	} else {
		o.SetName(name)
	}
	if t.Event {
		involved := map[string]any{"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": o.GetNamespace()}
		o.Object["involvedObject"] = involved
	}
	if p.chance(0.9) {
		o.SetLabels(p.labels(app, component))
	}
	if p.chance(0.02) {
		o.SetFinalizers([]string{"example.com/cleanup"})
	}
	o.SetAnnotations(p.annotations(app, component, o))
	p.byResource[t.Type.Resource] = append(p.byResource[t.Type.Resource], len(p.plan))
	p.plan = append(p.plan, Object{Type: t.Type, Manifest: o, Owner: owner, template: t})
}

func (p *planner) labels(app, component string) map[string]string {
	labels := map[string]string{
		"app.kubernetes.io/name":       app,
		"app.kubernetes.io/instance":   fmt.Sprintf("%s-%d", app, p.rng.IntN(20)),
		"app.kubernetes.io/component":  component,
		"app.kubernetes.io/managed-by": pick(p.rng, managers),
	}
	if p.chance(0.6) {
		labels["app.kubernetes.io/part-of"] = pick(p.rng, teams) + "-platform"
		labels["app.kubernetes.io/version"] = fmt.Sprintf("%d.%d.%d", p.rng.IntN(9), p.rng.IntN(30), p.rng.IntN(10))
	}
	if p.chance(0.3) {
		labels["environment"] = pick(p.rng, environments)
		labels["team"] = pick(p.rng, teams)
	}
	if p.chance(0.3) {
		labels["pod-template-hash"] = fmt.Sprintf("%010x", p.rng.Uint64()>>24)
	}
	return labels
}

func (p *planner) annotations(app, component string, o *unstructured.Unstructured) map[string]string {
	annotations := make(map[string]string)
	if p.chance(0.25) {
		annotations["description"] = p.description(app, component)
	}
	if p.chance(0.05) {
		annotations["docs.example.com/description"] = p.description(app, component)
	}
	if p.chance(0.01) { // longer than any filter keeps, and cut in the middle of a character
		long := pick(p.rng, foreign)
		for len(long) < 2500 {
			long += " · " + p.description(app, component)
		}
		annotations["description"] = long
	}
	if p.chance(0.3) {
		annotations["checksum/config"] = fmt.Sprintf("%016x%016x", p.rng.Uint64(), p.rng.Uint64())
		annotations["example.com/description-owner"] = "near a kept key, and none" // no key here ends in /description
	}
	if p.chance(0.3) {
		annotations["kubectl.kubernetes.io/last-applied-configuration"] = p.lastApplied(o)
	}
	if len(annotations) == 0 {
		return nil
	}
	return annotations
}

func (p *planner) description(app, component string) string {
	if p.chance(0.1) {
		return pick(p.rng, foreign)
	}
	return fmt.Sprintf("%s of %s, %s", capitalised(component), app, pick(p.rng, purposes))
}

// lastApplied is the annotation that kubectl leaves: the object once more, up to some KiB of it.
func (p *planner) lastApplied(o *unstructured.Unstructured) string {
	applied := runtime.DeepCopyJSON(o.Object)
	var notes []any
	for range p.rng.IntN(40) {
		notes = append(notes, pick(p.rng, purposes)+"; "+pick(p.rng, foreign))
	}
	applied["notes"] = notes
	encoded, err := json.Marshal(applied)
	if err != nil {
		return "{}" // an object that came from JSON can be encoded again
	}
	return string(encoded)
}

func (p *planner) chance(f float64) bool { return p.rng.Float64() < f }

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
