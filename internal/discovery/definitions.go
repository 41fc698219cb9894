package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/discovery/reflector"
)

var (
	crdResource     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	serviceResource = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// definitions watches one kind of definitions and keeps their names. It is the store of a Reflector.
type definitions struct {
	*names
	gvr     schema.GroupVersionResource
	client  metadata.ResourceInterface
	log     logr.Logger
	changed func() // called after each change, and never blocks

	requests reflector.Requests // lists; the Reflector itself ends its watches

	state    sync.Mutex // guards what follows
	watching bool
	told     bool // that they may not be watched
}

var _ cache.TransformingStore = (*definitions)(nil)

func newDefinitions(client metadata.Interface, gvr schema.GroupVersionResource, log logr.Logger, changed func()) *definitions {
	return &definitions{names: newNames(), gvr: gvr, client: client.Resource(gvr), log: log, changed: changed}
}

// run watches until ctx is done.
func (d *definitions) run(ctx context.Context, client metadata.Interface) {
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  d.list,
		WatchFuncWithContext: d.watch,
	}, client)
	reflector.Run(ctx, d.gvr.Resource, lw, d, d.log)
	d.requests.End()
}

// list bounds the time of a list, which the Reflector does not, and learns whether it is allowed.
func (d *definitions) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	const most = time.Minute // of an API server's own bound on a request
	if !d.requests.Begin() {
		return nil, reflector.ErrEnded
	}
	defer d.requests.Done()
	reqCtx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if opts.ResourceVersion == "0" {
		opts.ResourceVersion = "" // a stale list would be evidence of deletions that never were
	}
	list, err := d.client.List(reqCtx, opts)
	if err != nil {
		d.failed(ctx, err)
		return nil, err
	}
	for i := range list.Items {
		list.Items[i] = nameOnly(&list.Items[i])
	}
	return list, nil
}

func (d *definitions) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return d.client.Watch(ctx, opts)
}

// failed notes that the definitions cannot be watched, and says so once when it is for lack of a right or of the API.
func (d *definitions) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
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
	return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: o.Name, ResourceVersion: o.ResourceVersion}}
}

// Transformer drops everything but the names before the Reflector keeps it: the managedFields of a
// CustomResourceDefinition are larger than all that is needed of a hundred.
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

// errNoMetadata is an object of a kind that the metadata client does not return.
var errNoMetadata = errors.New("object is no metadata")

// Add notes a definition that was created.
func (d *definitions) Add(obj any) error { return d.note(obj, d.add) }

// Update notes a definition that was changed: its status, most likely, and with it what is served.
func (d *definitions) Update(obj any) error { return d.note(obj, d.add) }

// Delete notes a definition that was deleted.
func (d *definitions) Delete(obj any) error { return d.note(obj, d.remove) }

func (d *definitions) note(obj any, f func(name string)) error {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return errNoMetadata
	}
	f(o.Name)
	d.changed()
	return nil
}

// Replace notes a complete list.
func (d *definitions) Replace(objs []any, _ string) error {
	list := make([]string, 0, len(objs))
	for _, obj := range objs {
		o, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			return errNoMetadata
		}
		list = append(list, o.Name)
	}
	d.replace(list)
	d.state.Lock()
	d.watching = true
	d.state.Unlock()
	d.changed()
	return nil
}

// Resync does nothing.
func (d *definitions) Resync() error { return nil }
