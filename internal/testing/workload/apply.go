package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// parallel is how many requests are made at once. Far fewer keep two cores of an API server busy; more of them hide
// the waiting for etcd.
const parallel = 32

// Cluster is the objects that [Apply] has made, and that [Cluster.Churn] changes.
type Cluster struct {
	client  dynamic.Interface
	objects []*live // without namespaces and definitions, in the order of the plan
	// Took is how long the creation took.
	Took time.Duration
}

// live is an object as far as this process knows it. One goroutine at a time uses it.
type live struct {
	template  *template
	manifest  *unstructured.Unstructured // the object as it was created, with its final name
	finalizer bool
	uid       types.UID
	state     state
}

// state is the place of an object in its life.
//
//	absent ─create─▶ present ─delete, with finalizers─▶ terminating ─finalize─▶ absent
//	                    └─────delete, without─────────────────────────────────────▶
type state int

const (
	absent state = iota
	present
	terminating
)

// String returns the name of the state.
func (s state) String() string {
	switch s {
	case absent:
		return "absent"
	case present:
		return "present"
	case terminating:
		return "terminating"
	default:
		return "unknown"
	}
}

func (l *live) typ() resource.Type { return l.template.Type }

func (l *live) id() resource.ID { return l.typ().ID(l.manifest.GetNamespace(), l.manifest.GetName()) }

// Generate plans a cluster and applies it.
func Generate(ctx context.Context, config *rest.Config, opts Options) (*Cluster, error) {
	plan, err := Plan(opts)
	if err != nil {
		return nil, err
	}
	return Apply(ctx, config, plan)
}

// Apply creates the objects of a plan, and returns when all exist. It leaves existing namespaces and definitions as
// they are; any other object that exists is an error. The configuration should not limit the rate of requests.
func Apply(ctx context.Context, config *rest.Config, plan []Object) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // deprecated types are part of a realistic cluster
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	c := &Cluster{client: client}
	started := time.Now()
	made := make([]*live, len(plan)) // by index in the plan, nil for namespaces and definitions
	var definitions []string
	for _, stage := range stages(plan) {
		group, stageCtx := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for _, i := range stage {
			o := &plan[i]
			if o.template == nil {
				if o.Type.Resource == "customresourcedefinitions" {
					definitions = append(definitions, o.Manifest.GetName())
				}
				group.Go(func() error { return c.createOnce(stageCtx, o) })
				continue
			}
			made[i] = newLive(o, made)
			group.Go(func() error { return made[i].create(stageCtx, client) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		if err := c.awaitDefinitions(ctx, definitions); err != nil {
			return nil, err
		}
		definitions = nil
	}
	for _, l := range made {
		if l != nil {
			c.objects = append(c.objects, l)
		}
	}
	c.Took = time.Since(started)
	return c, nil
}

// stages splits a plan so that no object depends on another of its own stage or a later one.
func stages(plan []Object) [][]int {
	var split [][]int
	depth := make([]int, len(plan))
	for i, o := range plan {
		switch {
		case o.template == nil:
		case o.Owner >= 0:
			depth[i] = depth[o.Owner] + 1
		default:
			depth[i] = 1
		}
		for len(split) <= depth[i] {
			split = append(split, nil)
		}
		split[depth[i]] = append(split[depth[i]], i)
	}
	return split
}

// newLive prepares an object whose owner has been made.
func newLive(o *Object, made []*live) *live {
	l := &live{template: o.template, manifest: o.Manifest.DeepCopy()}
	if o.Owner >= 0 {
		owner := made[o.Owner]
		yes := true
		l.manifest.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: owner.typ().APIVersion(), Kind: owner.typ().Kind, Name: owner.manifest.GetName(), UID: owner.uid, Controller: &yes,
		}})
	}
	return l
}

// create makes the object and takes over the name that the server may have given it.
func (l *live) create(ctx context.Context, client dynamic.Interface) error {
	created, err := client.Resource(l.typ().GVR()).Namespace(l.manifest.GetNamespace()).
		Create(ctx, l.manifest, metav1.CreateOptions{FieldManager: "workload"})
	if err != nil {
		return fmt.Errorf("creating %s %s/%s: %w", l.typ(), l.manifest.GetNamespace(), l.manifest.GetName(), err)
	}
	l.manifest.SetName(created.GetName())
	l.manifest.SetGenerateName("")
	l.uid = created.GetUID()
	l.finalizer = len(created.GetFinalizers()) > 0 // admission adds finalizers of its own, to volumes
	l.state = present
	return nil
}

// createOnce makes a namespace or a definition, unless it exists.
func (c *Cluster) createOnce(ctx context.Context, o *Object) error {
	_, err := c.client.Resource(o.Type.GVR()).Create(ctx, o.Manifest, metav1.CreateOptions{FieldManager: "workload"})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating %s %s: %w", o.Type, o.Manifest.GetName(), err)
	}
	return nil
}

// errNotServed says that the API server does not yet serve the type of a definition.
var errNotServed = errors.New("the API server does not serve the type")

// awaitDefinitions returns when all of these custom types are served.
func (c *Cluster) awaitDefinitions(ctx context.Context, names []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range names {
		group.Go(func() error {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				err := c.served(ctx, name)
				if err == nil {
					return nil
				}
				select {
				case <-ctx.Done():
					return fmt.Errorf("waiting for %s: %w", name, err)
				case <-tick.C:
				}
			}
		})
	}
	return group.Wait()
}

func (c *Cluster) served(ctx context.Context, name string) error {
	definitions := resource.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}.GVR()
	crd, err := c.client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
	if err != nil {
		return err
	}
	established := false
	for _, condition := range conditions {
		fields, _ := condition.(map[string]any)
		established = established || fields["type"] == "Established" && fields["status"] == "True"
	}
	if !established {
		return errNotServed
	}
	group, _, err := unstructured.NestedString(crd.Object, "spec", "group")
	if err != nil {
		return err
	}
	plural, _, err := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	if err != nil {
		return err
	}
	versions, _, err := unstructured.NestedStringSlice(crd.Object, "status", "storedVersions")
	if err != nil || len(versions) == 0 {
		return errNotServed
	}
	// Established comes a moment before the handler does.
	gvr := resource.Type{Group: group, Version: versions[0], Resource: plural}.GVR()
	_, err = c.client.Resource(gvr).List(ctx, metav1.ListOptions{Limit: 1})
	return err
}

// IDs returns the objects that exist as far as this process knows, without namespaces and definitions. It must not
// be called while a Churn runs.
func (c *Cluster) IDs() []resource.ID {
	var ids []resource.ID
	for _, l := range c.objects {
		if l.state != absent {
			ids = append(ids, l.id())
		}
	}
	return ids
}
