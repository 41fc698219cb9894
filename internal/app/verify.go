package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

// verification compares the index with the cluster, and tells the other members about the result.
type verification struct {
	*verify.Verifier
	store *verify.Store
}

// newVerification makes a verification of parts that exist already.
func newVerification(a *App, maps corev1client.ConfigMapsGetter, streams *reflector.Metrics, reg prometheus.Registerer) *verification {
	log := a.log.WithName("verify")
	v := &verification{}
	hear := func(member string, s verify.Statement, ok bool) { v.Hear(member, s, ok) }
	v.store = verify.NewStore(maps, a.cfg.PodNamespace, a.cfg.RingName, a.cfg.PodName, hear, streams, log)
	v.Verifier = verify.New(verify.Options{
		Member: a.cfg.PodName, Index: a.index, Lister: a.lister, Relister: a.watches, Fleet: verifyFleet{a.shard.Member},
		Teller: v.store, Watched: a.wellWatched, Filter: filterOf(a.cfg), Interval: a.cfg.VerifyInterval, Log: log,
		Diverged: func(t resource.Type) { a.notices.divergent.Add(t.String()) }, Registerer: reg, Tracer: a.opts.Tracer,
	})
	return v
}

// run verifies, and follows the statements of the other members, until ctx ends. A statement stays in its
// ConfigMap, as a checkpoint does: a later reader compares with a state that was true.
func (v *verification) run(ctx context.Context) error {
	following := make(chan error, 1)
	go func() { following <- v.store.Run(ctx) }() // Ends with ctx; waited for below.
	err := v.Run(ctx)
	return errors.Join(err, <-following)
}

// filterOf names the settings that decide which objects are in an index.
func filterOf(cfg config.Config) string {
	return fmt.Sprintf("%s %q %q", cfg.Selection.String(), slices.Sorted(slices.Values(cfg.WatchNamespaces)), slices.Sorted(slices.Values(cfg.ExcludeNamespaces)))
}

// ours tells which objects the members of the ring write. They change too often for members to agree on them.
func ours(cfg config.Config) func(t resource.Type, namespace, name string) bool {
	return func(t resource.Type, namespace, name string) bool {
		if namespace != cfg.PodNamespace || !strings.HasPrefix(name, cfg.RingName+"-") {
			return false
		}
		return t.Group == "" && t.Resource == "configmaps" || t.Group == "coordination.k8s.io" && t.Resource == "leases"
	}
}

// wellWatched returns the types whose watches are well, for [verify.Options.Watched].
func (a *App) wellWatched() []verify.Watched {
	all := make([]verify.Watched, 0, a.watches.Len())
	a.watches.Synced(func(t resource.Type, listed time.Time) { all = append(all, verify.Watched{Type: t, Listed: listed}) })
	return all
}

// verifyFleet implements [verify.Fleet].
type verifyFleet struct{ member *membership.Membership }

// Members implements [verify.Fleet].
func (f verifyFleet) Members() []string { return f.member.View().View }

// Assignee implements [verify.Fleet].
func (f verifyFleet) Assignee(typeName string) string {
	return f.member.Owner(ownership.Kind{}, "", resource.ID(typeName)).Member
}

// compare is for [resync.Options.Compare].
func (v *verification) compare(t resource.Type, in func(namespace, name string) bool) resync.Comparison {
	return v.Part(t, in)
}
