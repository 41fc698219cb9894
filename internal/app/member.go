package app

import (
	"fmt"
	"iter"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/ownerref"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
)

// newShard makes the member. Targets join it later.
func newShard(cfg config.Config, restConfig *rest.Config, owner *ownerref.Owner, x *index.Index, all *target.Set,
	restored func(), streams *reflector.Metrics, log logr.Logger, reg prometheus.Registerer,
) (*handoff.Shard, error) {
	leases, err := coordinationv1client.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for Leases: %w", err)
	}
	uid := cfg.PodUID
	if uid == "" {
		uid = uuid.NewString()
	}
	return handoff.New(ownerref.Leases(leases, owner), membership.Options{
		RingName: cfg.RingName, Namespace: cfg.PodNamespace, PodName: cfg.PodName, PodUID: uid, Format: ring.DefaultFormat(),
		Timings: timings(cfg), Duty: duty(cfg), Log: log.WithName("ring"), Registerer: reg, Restored: restored, Streams: streams,
	}, handoff.Options{Objects: x, Log: log, Targets: func() iter.Seq[handoff.Target] {
		return func(yield func(handoff.Target) bool) {
			for _, t := range all.All() {
				if !yield(t) {
					return
				}
			}
		}
	}})
}

func timings(cfg config.Config) ownership.Timings {
	t := ownership.DefaultTimings()
	t.LeaseDuration, t.RenewDeadline, t.RenewInterval = cfg.LeaseDuration, cfg.LeaseRenewDeadline, cfg.LeaseRenewInterval
	t.Retention = max(t.Retention, 2*t.LeaseDuration)
	return t
}

// duty identifies the set of objects that this replica sends and their receiver, as its Lease says. Members that
// differ in it form no ring: in such a ring, each of two receivers would get a part of the objects.
func duty(cfg config.Config) string {
	if cfg.Endpoint == nil {
		return ""
	}
	return fmt.Sprintf("%08x", uint32(xxhash.Sum64String(fmt.Sprintf("%s %s %s %s %v", cfg.Endpoint, cfg.EndpointFormat, cfg.Selection, cfg.Types,
		append(append([]string{"in"}, cfg.WatchNamespaces...), append([]string{"not in"}, cfg.ExcludeNamespaces...)...)))>>32))
}
