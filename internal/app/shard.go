package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

const (
	// publishEvery is the pace of checkpoints: what a member parks, and what a failover sends twice at most, are the
	// changes of this long. Each costs one write to etcd.
	publishEvery = 10 * time.Second
	// publishTimeout bounds how long a handoff waits for its checkpoint; without it a few objects are sent twice.
	publishTimeout = time.Second
	// arrival is how long a new owner lets the last checkpoint of the old one arrive before it takes up what is parked:
	// Leases and checkpoints come by two watches. Nothing depends on it but the number of objects sent twice.
	arrival = 250 * time.Millisecond
	// joinWait is how long the first lists wait for the ring. A member that must wait for longer, for the Lease of a
	// predecessor to expire, reads the cluster meanwhile and parks it.
	joinWait = 3 * time.Second
)

// shard is this replica's part in the ring: its membership, the checkpoints, and what passes between them and the
// pipeline of the environment's target.
type shard struct {
	cfg      config.Config
	log      logr.Logger
	member   *membership.Membership
	book     *checkpoint.Book
	store    *checkpoint.Store
	covered  chan struct{} // one slot: the book has changed
	index    *index.Index
	pipeline *pipeline.Pipeline // nil without a target; set before run
	cluster  string
	ready    func() bool // everything has been read, and what was deleted before was looked for; set before run

	publishing sync.Mutex // one checkpoint is computed and written at a time
}

// newShard makes the parts. fingerprint names the receiver and what is sent to it; cluster is the UID of the cluster.
func newShard(cfg config.Config, restConfig *rest.Config, x *index.Index, cluster string, log logr.Logger, reg prometheus.Registerer) (*shard, error) {
	leases, err := coordinationclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for Leases: %w", err)
	}
	maps, err := corev1client.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for checkpoints: %w", err)
	}
	s := &shard{cfg: cfg, log: log, index: x, covered: make(chan struct{}, 1), cluster: cluster}
	uid := cfg.PodUID
	if uid == "" {
		uid = uuid.NewString()
	}
	format := ring.DefaultFormat()
	s.member, err = membership.New(leases, membership.Options{
		RingName: cfg.RingName, Namespace: cfg.PodNamespace, PodName: cfg.PodName, PodUID: uid, Format: format,
		Timings: timings(cfg),
		Drainer: s, Log: log.WithName("ring"), Registerer: reg,
	})
	if err != nil {
		return nil, fmt.Errorf("making the member of the ring: %w", err)
	}
	s.book = checkpoint.NewBook(fingerprint(cfg, cluster), format)
	s.store = checkpoint.NewStore(maps, s.book, checkpoint.StoreOptions{
		Namespace: cfg.PodNamespace, Ring: cfg.RingName, Target: environmentTarget, Member: cfg.PodName,
		Changed: s.bookChanged, Log: log.WithName("checkpoint"),
	})
	return s, nil
}

func timings(cfg config.Config) ownership.Timings {
	t := ownership.DefaultTimings()
	t.LeaseDuration, t.RenewDeadline, t.RenewInterval = cfg.LeaseDuration, cfg.LeaseRenewDeadline, cfg.LeaseRenewInterval
	t.Retention = max(t.Retention, 2*t.LeaseDuration)
	return t
}

// fingerprint names everything whose change makes checkpoints worthless.
func fingerprint(cfg config.Config, cluster string) string {
	endpoint := ""
	if cfg.Endpoint != nil {
		endpoint = cfg.Endpoint.String()
	}
	return fmt.Sprintf("cluster=%s endpoint=%s format=%s annotations=%s", cluster, endpoint, cfg.EndpointFormat, cfg.Annotations)
}

// covers is for [pipeline.Options.Covers].
func (s *shard) covers(t resource.Type, id resource.ID, version uint64) bool {
	return s.book.Covers(t.String(), id, version)
}

func (s *shard) bookChanged() {
	select {
	case s.covered <- struct{}{}:
	default: // It will look anyway.
	}
}

// Drain implements [membership.Drainer]: the requests of lost partitions end, then a last checkpoint under the old view
// tells the new owners what need not be sent again.
func (s *shard) Drain(lost func(partition int) bool) <-chan struct{} {
	done := make(chan struct{})
	if s.pipeline == nil {
		close(done)
		return done
	}
	ended := s.pipeline.Drain(func(id resource.ID) bool { return lost(s.member.Partition(id)) })
	go func() { // Ends soon after the requests, which end by their timeout.
		defer close(done)
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		defer cancel()
		s.publish(ctx)
	}()
	return done
}

// waitJoined waits until the checkpoints are read and we are a member, but not for longer than joinWait.
func (s *shard) waitJoined(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	select {
	case <-ctx.Done():
		return
	case <-s.store.Synced():
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.member.Owned().Len() == 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// run keeps the pipeline informed of what it may send, and the others of what it has sent, until ctx ends.
func (s *shard) run(ctx context.Context) error {
	if s.pipeline == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.member.Changes():
			s.ownershipChanged(ctx)
		case <-s.covered:
			s.pipeline.ForgetCovered()
		case <-tick.C:
			s.publish(ctx)
		}
	}
}

func (s *shard) ownershipChanged(ctx context.Context) {
	gains := s.member.TakeGains()
	var crashed map[int]bool
	for _, g := range gains {
		if g.Cause == ownership.Crash {
			if crashed == nil {
				crashed = make(map[int]bool)
			}
			crashed[g.Partition] = true
		}
	}
	if len(gains) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(arrival):
		}
		s.pipeline.ForgetCovered()
	}
	if crashed != nil {
		s.pipeline.Doubt(func(id resource.ID) bool { return crashed[s.member.Partition(id)] })
	}
	members := max(len(s.member.View().View), 1)
	s.pipeline.SetMaxInFlight(max(s.cfg.MaxInFlight/members, 1))
	s.pipeline.MaySendChanged()
}

// publish writes how far the partitions that our published view gives us are in step.
func (s *shard) publish(ctx context.Context) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	view := s.member.View()
	// Before the cluster has been read, there is nothing to say, and what was said before is still true.
	if len(view.View) == 0 || s.pipeline == nil || !s.ready() {
		return
	}
	mine, err := s.book.Owns(s.cfg.PodName, view.View)
	if err != nil {
		s.log.Error(err, "Checkpoint could not be computed")
		return
	}
	// First how far each type was seen, then what of it is not acknowledged: a change in between is above that version.
	seen := make(map[string]uint64)
	for _, t := range s.index.Types() {
		if stats := s.index.Type(t); stats.Listed && stats.Version > 0 {
			seen[t.String()] = stats.Version
		}
	}
	own := checkpoint.Checkpoint{
		Member: s.cfg.PodName, View: view.View, RingFormat: view.Format, Fingerprint: fingerprint(s.cfg, s.cluster),
		Types: checkpoint.Entries(seen, s.backlog(mine)),
	}
	all := own
	all.View = []string{s.cfg.PodName}
	all.Types = checkpoint.Bounds(seen, s.backlog(func(resource.ID) bool { return true }))
	if err := s.store.Publish(ctx, own, all); err != nil && ctx.Err() == nil {
		s.log.Error(err, "Checkpoint could not be written; until it can, a failover sends more again")
	}
}

// backlog is what is not acknowledged of the objects that match.
func (s *shard) backlog(match func(resource.ID) bool) map[string]checkpoint.Backlog {
	backlog := make(map[string]checkpoint.Backlog)
	for t, u := range s.pipeline.Unacknowledged(match) {
		backlog[t.String()] = checkpoint.Backlog{Version: u.Version, IDs: u.IDs}
	}
	return backlog
}

// release publishes the last checkpoint and gives up the Lease, so that the others take over at once.
func (s *shard) release(ctx context.Context) {
	s.publish(ctx)
	if err := s.member.Release(ctx); err != nil {
		s.log.Error(err, "Lease could not be released; the others wait until it expires")
	}
}

// fenced sends under the fence: a request ends when the Lease was not renewed in time.
type fenced struct {
	sender pipeline.Sender
	member *membership.Membership
}

func (f fenced) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	ctx, cancel := f.member.WithFence(ctx)
	defer cancel()
	return f.sender.Send(ctx, r)
}
