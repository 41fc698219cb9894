package controller

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// name is the name of this controller in events and the metrics of controller-runtime.
const name = "k8s-vectordb-sync"

// Options are the settings of a [Controller] beside its targets.
type Options struct {
	// Environment is the receiver that the process serves by its environment, if any: an object that names it
	// as well is a duplicate.
	Environment *url.URL
	// Registerer takes the metrics; nil switches them off.
	Registerer prometheus.Registerer
	// Log takes transitions.
	Log logr.Logger
	// MayRead asks whether the objects may be listed and watched, before the first request and after each one that was
	// refused. If it is nil, refused requests are just tried again.
	MayRead func(ctx context.Context, t resource.Type) (bool, error)
	// Streams count how the watches of the objects and of their Secrets end; nil counts nothing.
	Streams *reflector.Metrics
}

// Controller follows ResourceSyncConfigs. Create it with [New] and run it once.
type Controller struct {
	log        logr.Logger
	cache      cache.Cache
	reconciler *reconciler
	secrets    *secrets
	scheme     *runtime.Scheme
	core       corev1client.CoreV1Interface
	controller controller.Controller

	mu    sync.Mutex // guards the fields below
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	last  string // why objects could not be read, the last time
}

// New returns a controller that starts nothing and sends no request to the API server before it runs. It keeps the
// limits of restConfig on requests.
func New(restConfig *rest.Config, targets Targets, opts Options) (*Controller, error) {
	scheme := runtime.NewScheme()
	c := &Controller{log: opts.Log, scheme: scheme}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	// There is one kind of object, so the API server need not be asked which kinds it has. While the kind is not
	// installed, the list is tried again and again; a mapper that asks the API server would fail instead.
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind), meta.RESTScopeNamespace)
	httpClient, err := rest.HTTPClientFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the HTTP client: %w", err)
	}
	c.cache, err = cache.New(restConfig, cache.Options{
		HTTPClient: httpClient, Scheme: scheme, Mapper: mapper,
		NewInformer:              c.informer(opts),
		DefaultTransform:         cache.TransformStripManagedFields(),
		DefaultWatchErrorHandler: c.unreadable,
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	writer, err := client.New(restConfig, client.Options{HTTPClient: httpClient, Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(restConfig, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making the client of Secrets and Events: %w", err)
	}
	c.core = core
	c.secrets = newSecrets(core, opts.Log.WithName("secrets"), c.enqueue)
	c.secrets.streams = opts.Streams
	c.reconciler = newReconciler(c.cache, writer.Status(), targets, c.secrets, opts)
	return c, c.build()
}

// informer has the cache watch the objects as all other watches do: it begins a stream anew that is open and dead.
func (c *Controller) informer(opts Options) func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	return func(lw toolscache.ListerWatcher, o runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		source, permission := toolscache.ToListerWatcherWithContext(lw), c.permission(opts)
		guard := reflector.NewGuard(reflector.ResourceSyncConfigs, reflector.Source{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				list, err := source.ListWithContext(ctx, o)
				permission.Answered(err)
				return list, err // The Reflector looks at the type of the error.
			},
			Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				w, err := source.WatchWithContext(ctx, o)
				permission.Answered(err)
				return w, err // The Reflector looks at the type of the error.
			},
		}, nil, reflector.Options{Admit: permission.Admit, Metrics: opts.Streams, Log: opts.Log})
		return toolscache.NewSharedIndexInformer(guard.ListerWatcher(), o, resync, indexers)
	}
}

// errNoRight says that the API server denied a right when it was asked, before a request that it would have
// refused.
var errNoRight = errors.New("its account may not list and watch them in the whole cluster")

// permission holds requests for the objects back that the API server would refuse; nil holds none back.
func (c *Controller) permission(opts Options) *access.Permission {
	if opts.MayRead == nil {
		return nil
	}
	const plural = "resourcesyncconfigs"
	of := v1alpha1.GroupVersion
	return access.NewPermission(func(ctx context.Context) (bool, error) {
		return opts.MayRead(ctx, resource.Type{Group: of.Group, Version: of.Version, Resource: plural})
	}, access.Often, func() {
		c.unreadable(context.Background(), nil, apierrors.NewForbidden(of.WithResource(plural).GroupResource(), "", errNoRight))
	})
}

// build makes the controller-runtime part.
func (c *Controller) build() (err error) {
	yes, no := true, false
	c.controller, err = controller.NewUnmanaged(name, controller.Options{
		Reconciler: c.reconciler,
		// A test may run several replicas in one process.
		SkipNameValidation: &yes,
		NeedLeaderElection: &no,
		UsePriorityQueue:   &no,
		// The cache waits for ever, because the definition may be installed at any time.
		CacheSyncTimeout:      100 * 365 * 24 * time.Hour,
		ReconciliationTimeout: reconcileTimeout,
		LogConstructor:        func(*reconcile.Request) logr.Logger { return c.log },
	})
	if err != nil {
		return fmt.Errorf("making the controller: %w", err)
	}
	sources := []source.Source{
		source.Kind[client.Object](c.cache, &v1alpha1.ResourceSyncConfig{}, &handler.EnqueueRequestForObject{}),
		source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.queue = q
			return nil
		}),
	}
	for _, s := range sources {
		if err := c.controller.Watch(s); err != nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	return nil
}

// Run follows the objects until ctx ends. Targets that run then go on running: the maker of the targets stops them.
// While the CustomResourceDefinition is not installed, or may not be read, Run says so in the log and waits for it.
func (c *Controller) Run(ctx context.Context) error {
	events := record.NewBroadcaster()
	defer events.Shutdown()
	events.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: c.core.Events("")})
	c.reconciler.events = events.NewRecorder(c.scheme, corev1.EventSource{Component: name})
	defer c.secrets.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.cache.Start(ctx) })
	group.Go(func() error { return c.controller.Start(ctx) })
	group.Go(func() error { return c.tellKnown(ctx) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("following ResourceSyncConfigs: %w", err)
	}
	return nil
}

// tellKnown tells the targets which objects exist, once all have been read.
func (c *Controller) tellKnown(ctx context.Context) error {
	if !c.cache.WaitForCacheSync(ctx) {
		return nil
	}
	var list v1alpha1.ResourceSyncConfigList
	if err := c.cache.List(ctx, &list); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // The error is the end of ctx.
		}
		return fmt.Errorf("reading ResourceSyncConfigs from the cache: %w", err)
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, nameOf(list.Items[i].Namespace, list.Items[i].Name))
	}
	c.reconciler.targets.Known(names)
	return nil
}

// enqueue has an object reconciled again. It may be called at any time.
func (c *Controller) enqueue(owner types.NamespacedName) {
	c.mu.Lock()
	q := c.queue
	c.mu.Unlock()
	if q != nil {
		q.Add(reconcile.Request{NamespacedName: owner})
	}
}

// unreadable logs, once, why objects cannot be read. It ignores watches that end, as they do all the time.
func (c *Controller) unreadable(_ context.Context, _ *toolscache.Reflector, err error) {
	var todo string
	switch {
	case apierrors.IsNotFound(err):
		todo = "install the CustomResourceDefinition resourcesyncconfigs.dot-ai.devopstoolkit.live"
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		todo = "allow the ServiceAccount list and watch on resourcesyncconfigs.dot-ai.devopstoolkit.live"
	default:
		c.log.V(1).Info("Watch of ResourceSyncConfigs was interrupted", "err", err)
		return
	}
	c.mu.Lock()
	known := c.last == todo
	c.last = todo
	c.mu.Unlock()
	if !known {
		c.log.Error(err, "ResourceSyncConfigs cannot be read, and are tried again and again", "todo", todo)
	}
}
