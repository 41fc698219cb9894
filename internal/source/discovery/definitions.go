package discovery

import (
	"context"
	"errors"
	"sync"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

var (
	crdResource     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	serviceResource = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// definitions watches one kind of definitions and keeps their names. It is the store of a Reflector.
type definitions struct {
	*names
	gvr    schema.GroupVersionResource
	client metadata.ResourceInterface
	log    logr.Logger
	tell   func(name string, n news) // called after each event, with an empty name after a list; never blocks

	streams    *reflector.Metrics
	permission *access.Permission // nil: the API server is not asked

	state    sync.Mutex // guards the fields below
	watching bool
	told     bool // the log says that the definitions may not be watched
}

var _ cache.TransformingStore = (*definitions)(nil)

func newDefinitions(client metadata.Interface, gvr schema.GroupVersionResource, opts Options, tell func(string, news)) *definitions {
	d := &definitions{names: newNames(), gvr: gvr, client: client.Resource(gvr), log: opts.Log, streams: opts.Streams, tell: tell}
	if opts.MayRead != nil {
		d.permission = access.NewPermission(func(ctx context.Context) (bool, error) {
			return opts.MayRead(ctx, resource.Type{Group: gvr.Group, Version: gvr.Version, Resource: gvr.Resource})
		}, access.Rarely, func() { d.failed(apierrors.NewForbidden(gvr.GroupResource(), "", errNoRight)) })
	}
	return d
}

// run watches until ctx is done.
func (d *definitions) run(ctx context.Context, client metadata.Interface) {
	reflector.NewGuard(reflector.Definitions, reflector.Source{List: d.list, Watch: d.watch}, d, reflector.Options{
		Client: client, Admit: d.permission.Admit, Metrics: d.streams, Log: d.log,
	}).Run(ctx)
}

// list requests a list, and tells permission about an error.
func (d *definitions) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	list, err := d.client.List(ctx, opts)
	if err != nil {
		d.permission.Answered(err)
		if ctx.Err() == nil {
			d.failed(err)
		}
		return nil, err
	}
	for i := range list.Items {
		list.Items[i] = nameOnly(&list.Items[i])
	}
	return list, nil
}

func (d *definitions) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	w, err := d.client.Watch(ctx, opts)
	d.permission.Answered(err)
	return w, err
}

// errNoRight means that the API server has denied the right when asked for it, so no request was made.
var errNoRight = errors.New("its account may not list and watch them")

// failed notes that the definitions cannot be watched. If the right or the API is missing, failed logs that
// once.
func (d *definitions) failed(err error) {
	d.state.Lock()
	defer d.state.Unlock()
	d.watching = false
	if !d.told && (apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err)) {
		d.told = true
		d.log.Info("Definitions of resources cannot be watched, new ones are found by the timer alone",
			"resource", d.gvr.GroupResource().String(), "err", err.Error())
	}
}

// isWatching tells whether the definitions have been listed and no list has failed since.
func (d *definitions) isWatching() bool {
	d.state.Lock()
	defer d.state.Unlock()
	return d.watching
}

func nameOnly(o *metav1.PartialObjectMetadata) metav1.PartialObjectMetadata {
	d := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: o.Name, ResourceVersion: o.ResourceVersion, Generation: o.Generation}}
	if made, ok := o.Labels[localLabel]; ok {
		d.Labels = map[string]string{localLabel: made}
	}
	return d
}

// localLabel marks the APIServices that the API server makes for the groups that it serves itself.
const localLabel = "kube-aggregator.kubernetes.io/automanaged"

func definitionOf(o *metav1.PartialObjectMetadata) definition {
	_, local := o.Labels[localLabel]
	return definition{generation: o.Generation, local: local}
}

// Transformer drops all fields but names and generations before the Reflector keeps an object. The managedFields
// of one CustomResourceDefinition are larger than the needed data of a hundred.
func (d *definitions) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		o, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			return nil, errNoMetadata
		}
		n := nameOnly(o)
		return &n, nil
	}
}

// errNoMetadata means an object of a kind that the metadata client does not return.
var errNoMetadata = errors.New("object is no metadata")

// Add notes a definition that was created.
func (d *definitions) Add(obj any) error { return d.Update(obj) }

// Update notes a definition that was changed. Most changes are of the status, which says whether the type is
// served.
func (d *definitions) Update(obj any) error {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return errNoMetadata
	}
	d.tell(o.Name, d.add(o.Name, definitionOf(o)))
	return nil
}

// Delete notes a definition that was deleted.
func (d *definitions) Delete(obj any) error {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return errNoMetadata
	}
	d.remove(o.Name)
	d.tell(o.Name, arrived)
	return nil
}

// Replace notes a complete list.
func (d *definitions) Replace(objs []any, _ string) error {
	list := make(map[string]definition, len(objs))
	for _, obj := range objs {
		o, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			return errNoMetadata
		}
		list[o.Name] = definitionOf(o)
	}
	news := d.replace(list)
	d.state.Lock()
	if !d.watching {
		news = arrived // the list may have definitions that the loop did not know
	}
	d.watching = true
	d.state.Unlock()
	d.tell("", news)
	return nil
}

// Resync does nothing.
func (d *definitions) Resync() error { return nil }
