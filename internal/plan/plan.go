package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientdiscovery "k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/httpclient"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Options are the settings of [Run].
type Options struct {
	// Config is as [config.ForPlan] reads it.
	Config config.Config
	// Watch is how long changes are watched for once everything has been listed; 0 for not at all.
	Watch time.Duration
	// Resources limits the plan to types that one of these patterns names; empty for all.
	Resources []string
	// Namespace limits the plan to one namespace; empty for all, and [resource.ClusterNamespace] for objects without a
	// namespace.
	Namespace string
	// Declared are ResourceSyncConfigs to plan for beside those of the cluster. They replace those with the same
	// names.
	Declared []Declared
	// Progress receives how many of all lists are done, from one goroutine at a time. It may be nil.
	Progress func(done, total int)
	// Log takes warnings of the API server.
	Log logr.Logger
}

// listsAtOnce bounds the lists that are read at once, as at a replica's start: memory holds a page of each.
const listsAtOnce = 4

// planner is one run.
type planner struct {
	opts      Options
	client    metadata.Interface
	lister    *watch.Lister
	kept      kept
	receivers []Receiver
	units     []*unit
	report    Report
}

// Run reads the cluster and returns what would be sent. It fails when the API server does not answer, and when the
// options cannot be understood. Types that cannot be read are a part of the report.
func Run(ctx context.Context, restConfig *rest.Config, opts Options) (Report, error) {
	restConfig = rest.CopyConfig(restConfig)
	restConfig.QPS = -1 // as a replica has it: the API server bounds the requests
	httpclient.Configure(restConfig, opts.Log)
	client, err := metadata.NewForConfig(metadata.ConfigFor(restConfig))
	if err != nil {
		return Report{}, fmt.Errorf("making the metadata client: %w", err)
	}
	disco, err := clientdiscovery.NewDiscoveryClientForConfig(restConfig)
	if err != nil {
		return Report{}, fmt.Errorf("making the discovery client: %w", err)
	}
	c := opts.Config
	found, err := discovery.New(disco, nil, discovery.Options{Filter: c.Types}).Once(ctx)
	if err != nil {
		return Report{}, err
	}
	c.Selection.KeepMarks = c.Selection.KeepMarks || len(opts.Declared) > 0
	p := &planner{
		opts: opts, client: client, lister: watch.NewLister(client, resource.Selection{}, watch.NamespaceFilter{}),
		kept: kept{watch.NamespaceFilter{Include: c.WatchNamespaces, Exclude: c.ExcludeNamespaces}, c.Selection},
	}
	if p.receivers, err = p.findReceivers(ctx, restConfig, found.ShortNames); err != nil {
		return Report{}, err
	}
	types, err := narrowed(found, opts.Resources)
	if err != nil {
		return Report{}, err
	}
	p.begin(found)
	p.list(ctx, types)
	if err := ctx.Err(); err != nil {
		return Report{}, err // The context has ended.
	}
	if opts.Watch > 0 {
		p.watch(ctx)
		if err := ctx.Err(); err != nil {
			return Report{}, err // The context has ended.
		}
	}
	return p.finish(), nil
}

// findReceivers returns the receiver of the environment, unless only ResourceSyncConfigs name some, and theirs.
func (p *planner) findReceivers(ctx context.Context, restConfig *rest.Config, shorts map[string][]string) ([]Receiver, error) {
	c := p.opts.Config
	var all []Receiver
	if c.Endpoint != nil || !c.ResourceSyncConfig {
		format, err := wire.FormatOf(c.EndpointFormat)
		if err != nil {
			return nil, fmt.Errorf("making the receiver's format: %w", err)
		}
		all = append(all, Receiver{Name: "default", Format: format, Debounce: c.DebounceWindow, MaxWait: c.DebounceMaxWait})
	}
	objects := p.opts.Declared
	if c.ResourceSyncConfig {
		present, err := declaredIn(ctx, restConfig)
		if err != nil {
			p.report.Unreadable = append(p.report.Unreadable, unreadable(declaredResource, err))
		}
		objects = overlaid(present, objects)
	}
	for _, o := range objects {
		r, err := o.receiver(shorts)
		if err != nil {
			p.report.Receivers = append(p.report.Receivers, ReceiverReport{Name: o.name(), Problem: err.Error()})
			continue
		}
		all = append(all, r)
	}
	return all, nil
}

// narrowed returns the types that are to be read.
func narrowed(found discovery.Answer, patterns []string) ([]resource.Type, error) {
	if len(patterns) == 0 {
		return found.Types, nil
	}
	filter, err := resource.NewFilter(patterns, nil)
	if err != nil {
		return nil, fmt.Errorf("choosing what to plan: %w", err)
	}
	filter = filter.WithShortNames(found.ShortNames)
	if unknown := filter.Unknown(found.Types); len(unknown) > 0 {
		if others := filter.Unknown(slices.Concat(found.Types, found.LeftOut)); len(others) == 0 {
			return nil, fmt.Errorf("%s is served, and left out by the settings", strings.Join(unknown, ", "))
		}
		return nil, fmt.Errorf("nothing is served by the name of %s", strings.Join(unknown, ", "))
	}
	return slices.DeleteFunc(slices.Clone(found.Types), func(t resource.Type) bool { return !filter.Match(t) }), nil
}

// begin records the result of discovery.
func (p *planner) begin(found discovery.Answer) {
	p.report.Unknown = found.Unknown
	for _, t := range found.LeftOut {
		p.report.LeftOutTypes = append(p.report.LeftOutTypes, t.String())
	}
	for _, gv := range slices.Sorted(maps.Keys(found.Failed)) {
		p.report.Unreadable = append(p.report.Unreadable, unreadable(gv, found.Failed[gv]))
	}
	p.report.Settings = decisive(p.opts.Config)
}

func unreadable(name string, err error) Unreadable {
	return Unreadable{Resource: name, Reason: string(watch.ReasonFor(err)), Error: err.Error()}
}

// decisive are the settings that decide which objects are sent and when.
func decisive(c config.Config) map[string]string {
	all, some := c.Map(), make(map[string]string)
	for _, name := range []string{
		"ENDPOINT_FORMAT", "RESOURCE_SYNC_CONFIG", "WATCH_RESOURCE_TYPES", "EXCLUDE_RESOURCE_TYPES", "WATCH_NAMESPACES", "EXCLUDE_NAMESPACES",
		"WATCH_LABEL_SELECTOR", "OPT_OUT_ANNOTATION", "SKIP_CONTROLLED", "LABEL_INCLUDE", "LABEL_EXCLUDE", "EXTRA_LABELS",
		"ANNOTATION_INCLUDE", "ANNOTATION_EXCLUDE", "CAPABILITIES_ENDPOINT", "DEBOUNCE_WINDOW_MS", "DEBOUNCE_MAX_WAIT_MS",
	} {
		some[name] = all[name]
	}
	return some
}

// list reads every type. If the settings name namespaces, it reads a type namespace by namespace that may not be
// read as a whole.
func (p *planner) list(ctx context.Context, types []resource.Type) {
	var lists errgroup.Group
	lists.SetLimit(listsAtOnce)
	results, done := make(chan []*unit), make(chan struct{})
	go func() { // Ends when results is closed.
		defer close(done)
		n := 0
		for units := range results {
			p.units = append(p.units, units...)
			if n++; p.opts.Progress != nil {
				p.opts.Progress(n, len(types))
			}
		}
	}()
	for _, t := range types {
		lists.Go(func() error {
			results <- p.listType(ctx, t)
			return nil
		})
	}
	_ = lists.Wait() // the units hold the errors
	close(results)
	<-done
}

func (p *planner) listType(ctx context.Context, t resource.Type) []*unit {
	namespace := p.opts.Namespace
	if t.Namespaced == (namespace == resource.ClusterNamespace) && namespace != "" {
		return nil
	}
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	whole := p.listOne(ctx, t, namespace)
	if namespace != "" || !t.Namespaced || !apierrors.IsForbidden(whole.err) || len(p.kept.namespaces.Include) == 0 {
		return []*unit{whole}
	}
	var units []*unit
	for _, n := range p.kept.namespaces.Include {
		units = append(units, p.listOne(ctx, t, n))
	}
	return units
}

func (p *planner) listOne(ctx context.Context, t resource.Type, namespace string) *unit {
	u := &unit{t: t, namespace: namespace}
	u.list(ctx, p.lister, func() []*tally {
		tallies := make([]*tally, 0, len(p.receivers))
		for _, r := range p.receivers {
			tallies = append(tallies, newTally(r, p.kept, p.opts.Watch > 0))
		}
		return tallies
	})
	return u
}

// watch follows all types that could be listed, each from the version of its list.
func (p *planner) watch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Watch)
	defer cancel()
	var watches errgroup.Group
	for _, u := range p.units {
		if u.err == nil {
			watches.Go(func() error {
				u.watch(ctx, p.client)
				return nil
			})
		}
	}
	_ = watches.Wait() // the units hold the errors
	p.report.WatchedSeconds = p.opts.Watch.Seconds()
}

// finish adds up the results of all units.
func (p *planner) finish() Report {
	sums := make([]*summary, len(p.receivers))
	for i, r := range p.receivers {
		sums[i] = newSummary(r)
	}
	slices.SortFunc(p.units, func(a, b *unit) int {
		if a.t != b.t {
			return resource.CompareTypes(a.t, b.t)
		}
		return strings.Compare(a.namespace, b.namespace)
	})
	for _, u := range p.units {
		if u.err != nil {
			p.report.Unreadable = append(p.report.Unreadable, unreadable(u.name(), u.err))
			continue
		}
		if u.unwatched != nil {
			p.report.Unwatched = append(p.report.Unwatched, unreadable(u.name(), u.unwatched))
		}
		for i, c := range u.tallies {
			sums[i].add(u.t, c, u.observed)
		}
	}
	r := p.report
	problems := r.Receivers
	r.Receivers = []ReceiverReport{}
	for _, s := range sums {
		r.Receivers = append(r.Receivers, s.report())
	}
	r.Receivers = append(r.Receivers, problems...)
	r.LeftOutTypes, r.Unknown = append([]string{}, r.LeftOutTypes...), append([]string{}, r.Unknown...)
	r.Unreadable, r.Unwatched = append([]Unreadable{}, r.Unreadable...), append([]Unreadable{}, r.Unwatched...)
	return r
}

func (u *unit) name() string {
	if u.namespace == "" {
		return u.t.String()
	}
	return u.t.String() + " in " + u.namespace
}
