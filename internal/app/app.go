package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	clientdiscovery "k8s.io/client-go/discovery"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/buildinfo"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/footprint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/httpclient"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/ownerref"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/predecessor"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/restore"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/typeset"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/stage"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// Options are a process's settings beside its configuration.
type Options struct {
	// Version is the version of the program.
	Version string
	// Tracer begins spans; nil begins none.
	Tracer *tracing.Tracer
	// Log takes all log lines of the process.
	Log logr.Logger
}

// App is one replica. [Run] builds it and runs it once.
type App struct {
	life

	cfg  config.Config
	opts Options
	log  logr.Logger

	index      *index.Index
	watches    *watch.Manager
	discovery  *discovery.Discovery
	lister     *watch.Lister
	reg        prometheus.Registerer
	shard      *handoff.Shard
	receivers  target.Set
	previous   *previous.Inventory // nil: no inventory is kept
	verify     *verification
	controller *controller.Controller // nil: ResourceSyncConfigs are not read
	api        *api.Server
	types      *typeset.Set
	scanner    *capabilities.Scanner // nil: no receiver takes the names of definitions
	rivals     *predecessor.Watcher
	notices    *notices
	restores   *restore.Restores
}

// life tells how far a replica has come.
type life struct {
	started    time.Time
	discovered atomic.Bool
	stopping   atomic.Bool
}

// Run runs a replica until ctx ends, then stops it in order. It returns an error when the replica cannot start, or a
// part of it fails for good.
func Run(ctx context.Context, cfg config.Config, restConfig *rest.Config, opts Options) error {
	cluster, err := clusterID(ctx, cfg, restConfig, opts.Log)
	if err != nil {
		return err
	}
	a, err := build(cfg, restConfig, cluster, opts, ctrlmetrics.Registry)
	if err != nil {
		return err
	}
	servers, err := a.listen(restConfig)
	if err != nil {
		return err
	}
	return a.run(ctx, servers)
}

// build makes all parts. It starts none, and asks the API server nothing.
func build(cfg config.Config, restConfig *rest.Config, cluster string, opts Options, reg prometheus.Registerer) (*App, error) {
	restConfig = rest.CopyConfig(restConfig)
	// The API server's own priority and fairness bounds what we may ask for; a limit here, five requests a second by
	// default, would only stretch the start by a second for every five types.
	restConfig.QPS = -1
	restConfig.UserAgent = "k8s-vectordb-sync/" + opts.Version
	httpclient.Configure(restConfig, opts.Log.WithName("apiserver"))
	client, err := metadatawatch.New(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the metadata client: %w", err)
	}
	rights, err := newRights(restConfig, client)
	if err != nil {
		return nil, err
	}
	disco, err := clientdiscovery.NewDiscoveryClientForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the discovery client: %w", err)
	}
	a := &App{cfg: cfg, opts: opts, log: opts.Log, life: life{started: time.Now()}, reg: reg}
	buildinfo.Register(reg, buildinfo.Info{Version: opts.Version, RingFormat: ring.DefaultFormat().String(), CheckpointFormat: checkpoint.Format()})
	streams := reflector.NewMetrics(reg)
	namespaces := watch.NamespaceFilter{Include: cfg.WatchNamespaces, Exclude: cfg.ExcludeNamespaces}
	scopes := access.NewScopes(rights.Reviews, cfg.WatchNamespaces, cfg.ExcludeNamespaces, opts.Log.WithName("scopes"))
	a.index = index.New(reg)
	a.index.LeaveOut(ours(cfg))
	a.watches = watch.New(client, a.index, watch.Options{
		Keep: cfg.Selection, Namespaces: namespaces, OnSettled: a.settled, Log: opts.Log.WithName("watch"), Registerer: reg,
		MayRead: rights.MayRead, Narrow: scopes.ByNamespace, Alone: scopes.Alone, Streams: streams, Aggregated: func(t resource.Type) bool { return a.discovery.Aggregated(t) },
	})
	a.restores = restore.New(a.watches.RelistBefore, a.void, opts.Log)
	a.types = typeset.New(typeset.Options{
		Scopes: scopes, Watches: a.watches, Index: a.index, Log: opts.Log.WithName("types"), Delivered: a.delivered, Gone: a.gone,
		Remembered: func() []resource.Type { return a.previous.KnownTypes() }, Discovered: func() discovery.Status { return a.discovery.Status() },
	})
	a.lister = watch.NewLister(client, cfg.Selection, namespaces)
	owner := ownerref.New(client, cfg.PodNamespace, cfg.StatefulSetName, opts.Log)
	a.shard, err = newShard(cfg, restConfig, owner, a.index, &a.receivers, a.restores.Note, streams, opts.Log, reg)
	if err != nil {
		return nil, err
	}
	core, err := corev1client.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for checkpoints: %w", err)
	}
	maps := ownerref.ConfigMaps(core, owner)
	a.notices = newNotices(a, owner, core)
	a.verify = newVerification(a, maps, streams, reg)
	a.previous = previous.Open(previous.Options{
		Dir: cfg.StateDir, Meta: inventory.Meta{Cluster: cluster, Ring: cfg.RingName}, Index: a.index, Receivers: a.receivers.Remembering(),
		Namespaces: namespaces, Wanted: cfg.Types.Match, Log: opts.Log.WithName("inventory"), Registerer: reg,
	})
	a.discovery = discovery.New(disco, client, discovery.Options{ // reports known types that are gone
		Filter: cfg.Types, Known: whole(a.previous.KnownTypes()), MayRead: rights.MayRead, Streams: streams, OnDefinition: a.definitionSeen, Log: opts.Log.WithName("discovery"), Registerer: reg,
	})
	parts := target.Parts{
		Self: target.Self{Version: opts.Version, Member: cfg.PodName, Namespace: cfg.PodNamespace, Ring: cfg.RingName},
		Cluster: target.Cluster{
			ID: cluster, Index: a.index, Pager: a.lister, Namespaces: namespaces, Types: a.types, Wanted: cfg.Types.Match,
			Ready: a.ready, Restoring: a.restores.Open, Previous: a.previous, Compare: a.verify.compare, Doubt: a.verify.Doubt,
		},
		Observers: target.Observers{Log: opts.Log, Registerer: reg, Tracer: opts.Tracer, Streams: streams},
		Seat:      func(name string) target.Seat { return handoff.NewSeat(a.shard.Member, name) },
		Outlet:    target.HTTP{Member: a.shard.Member}, Maps: maps,
	}
	a.rivals = predecessor.New(client, rights.client, predecessor.Options{
		Namespaces: append([]string{cfg.PodNamespace}, cfg.WatchNamespaces...), ResourceSyncConfig: cfg.ResourceSyncConfig, Log: opts.Log.WithName("predecessor"), Registerer: reg,
	})
	if a.scanner, err = a.newScanner(restConfig, maps); err != nil {
		return nil, err
	}
	return a, a.buildTargets(restConfig, rights.MayRead, parts)
}

// buildTargets makes the receiver of the environment, and the set that makes the receivers of ResourceSyncConfigs.
func (a *App) buildTargets(restConfig *rest.Config, mayRead func(context.Context, resource.Type) (bool, error), parts target.Parts) (err error) {
	cfg := a.cfg
	if cfg.Endpoint != nil {
		t, err := target.New(target.FromEnvironment(cfg), parts)
		if err != nil {
			return err // The error says what failed.
		}
		a.receivers.Put(t)
		t.Listen()
	}
	if !cfg.ResourceSyncConfig {
		return nil
	}
	declared := target.NewDeclared(target.DeclaredOptions{
		Receivers: &a.receivers, Parts: parts, Environment: target.FromEnvironment(cfg), Discovery: a.discovery, Watches: a.watches,
		Owns: func(name string) bool { return a.shard.Member.MaySend(resource.ID(name)) },
	})
	a.controller, err = controller.New(restConfig, declared, controller.Options{
		Environment: cfg.Endpoint, MayRead: mayRead, Streams: parts.Streams, Registerer: parts.Registerer, Log: parts.Log.WithName("controller"),
	})
	if err != nil {
		return fmt.Errorf("making the controller of ResourceSyncConfigs: %w", err)
	}
	return nil
}

// run starts the parts, waits for the end, and stops them in order.
func (a *App) run(ctx context.Context, s *servers) error {
	footprint.Starting()
	a.log.Info("Starting", "version", a.opts.Version, "config", a.cfg.Map())
	for _, w := range a.cfg.Warnings {
		a.log.Info("Configuration warning", "warning", w)
	}
	failed, fail := context.WithCancelCause(context.Background())
	defer fail(nil)

	observe := stage.New(fail)
	share := stage.New(fail)
	serve := stage.New(fail)
	remember := stage.New(fail)
	serve.Start("API", func(ctx context.Context) error { return a.api.Run(ctx, s.api) })
	serve.Start("health probes", s.health.Run)
	if s.metrics != nil {
		serve.Start("metrics", s.metrics.Start)
	}
	remember.Start("inventory", a.previous.Run)
	share.Start("ring", a.shard.Member.Run)
	share.Start("shard", a.shard.Run)
	for _, t := range a.targets() {
		t.Start(fail)
	}
	observe.Start("watches", func(ctx context.Context) error {
		a.shard.WaitJoined(ctx)
		return a.watches.Run(ctx)
	})
	observe.Start("predecessor", a.rivals.Run)
	observe.Start("memory", footprint.Tidy)
	observe.Start("restores", a.restores.Run)
	observe.Start("verification", a.verify.run)
	observe.Start("events", a.notices.run)
	if a.controller != nil {
		observe.Start("controller", a.controller.Run)
	}
	if a.scanner != nil {
		observe.Start("capabilities", a.scanner.Run)
	}
	observe.Start("discovery", func(ctx context.Context) error {
		return a.discovery.Run(ctx, func(c discovery.Change) { a.apply(ctx, c) })
	})

	select {
	case <-ctx.Done():
		a.log.Info("Stopping", "flushFor", a.cfg.ShutdownTimeout.String())
		<-time.After(lameDuck)
	case <-failed.Done():
		a.log.Error(context.Cause(failed), "Stopping because a part has failed")
	}
	a.stopping.Store(true)
	observe.Stop()
	end := time.Now().Add(a.cfg.ShutdownTimeout)
	a.flush(end)
	remember.Stop() // before the pipelines: the inventory keeps the deletions that they could not send
	a.cutOff()
	a.release(end)
	for _, t := range a.targets() {
		t.Stop()
	}
	share.Stop()
	serve.Stop()
	if err := context.Cause(failed); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// targets are all receivers of this replica.
func (a *App) targets() []*target.Target { return a.receivers.All() }

// flush sends the items that are due, to all receivers at once, until end at most, and logs those that are left.
func (a *App) flush(end time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	var all sync.WaitGroup
	for _, t := range a.targets() {
		all.Go(func() { t.Flush(ctx) })
	}
	all.Wait()
}

// cutOff ends the requests that are still in flight, to all receivers at the same time.
func (a *App) cutOff() {
	var all sync.WaitGroup
	for _, t := range a.targets() {
		all.Go(t.CutOff)
	}
	all.Wait()
}

// releaseTimeout bounds the last writes to the API server. If it does not answer, others wait until a Lease ends.
const releaseTimeout = 5 * time.Second

// release writes the last checkpoints and gives up the Lease.
func (a *App) release(end time.Time) {
	waits := slices.ContainsFunc(a.targets(), (*target.Target).HasDeletions)
	ctx, cancel := context.WithDeadline(context.Background(), releaseBy(time.Now(), end, waits))
	defer cancel()
	a.shard.Release(ctx)
}

// releaseBy is the moment until which the API server may take to accept the last checkpoints: releaseTimeout from
// now. If deletions wait that perhaps no other member knows of, it is the end of the whole shutdown.
func releaseBy(now, end time.Time, deletions bool) time.Time {
	by := now.Add(releaseTimeout)
	if deletions && end.After(by) {
		return end
	}
	return by
}

// settled runs when every type has been listed once, and returns the memory that only the start needed.
func (a *App) settled() {
	a.shard.Member.Proceed()
	a.log.Info("All types have been read", "objects", a.index.Len(), "after", time.Since(a.started).Round(time.Millisecond).String())
	footprint.Resting()
}

// ready is the answer of /readyz: discovery is done and every healthy type has been listed once. It does not depend
// on any receiver: taking a replica out of service because a receiver is down would help no caller.
func (a *App) ready() bool { return a.discovered.Load() && a.watches.Settled() }

// backend returns the part that answers questions to this replica.
func (a *App) backend() *backend.Backend {
	return backend.New(backend.Options{
		Source:  backend.Source{Index: a.index, Discovery: a.discovery, Watches: a.watches, Types: a.types, Verifier: a.verify.Verifier},
		Life:    backend.Life{Started: a.started, Ready: a.ready, Stopping: a.stopping.Load},
		Version: a.opts.Version, Member: a.cfg.PodName, Members: a.shard.Member, Targets: func() (all []backend.Target) {
			for _, t := range a.targets() {
				all = append(all, backend.Of(t))
			}
			return all
		},
	})
}

// apply hands the types that discovery has found to the watches and the index.
func (a *App) apply(ctx context.Context, c discovery.Change) {
	a.types.Apply(ctx, c)
	a.discovered.Store(true)
}

// gone runs when a type is served no longer, after the index has forgotten its objects.
func (a *App) gone(t resource.Type) {
	for _, to := range a.targets() {
		to.TypeGone(t)
	}
}

// void makes all checkpoints worthless: the cluster has gone back in time.
func (a *App) void() {
	for _, t := range a.targets() {
		t.Void()
	}
}

// delivered tells whether no first state of a type is still on its way to any receiver.
func (a *App) delivered(t resource.Type) bool {
	for _, to := range a.targets() {
		if to.Pipeline().Pending(t) > 0 {
			return false
		}
	}
	return true
}

// lameDuck is how long all parts go on after the signal to stop. A change that was written before the signal spends
// some milliseconds in the API server's watch cache, on a busy machine tens of them. This is ten times that, and a
// sixtieth of a pod's usual grace period.
const lameDuck = 500 * time.Millisecond

// listenOn opens a TCP listener, with an error that names the variable to change.
func listenOn(variable, address string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for %s=%s: %w", variable, address, err)
	}
	return ln, nil
}
