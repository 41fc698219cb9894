package app

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/ownerref"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

const (
	// publishEvery is the pace of checkpoints: what a member parks, and what a failover sends twice at most, are the
	// changes of this long. Each costs one write to etcd.
	publishEvery = 10 * time.Second
	// publishTimeout bounds how long a handoff waits for its checkpoint. Without it the new owner may send
	// what has been sent; an API server that does not take a ConfigMap for so long does not take the Lease
	// either.
	publishTimeout = 15 * time.Second
	// joinWait is how long the first lists wait for the ring. A member that must wait for longer, for the Lease of a
	// predecessor to expire, reads the cluster meanwhile and parks it.
	joinWait = 3 * time.Second
)

// shard is this replica's part in the ring: its membership, and what passes between it and the targets.
type shard struct {
	cfg     config.Config
	log     logr.Logger
	member  *membership.Membership
	targets *targets
	index   *index.Index
	shard   ownedCount
}

// newShard makes the member. Targets join it later.
func newShard(cfg config.Config, restConfig *rest.Config, owner *ownerref.Owner, x *index.Index,
	restored func(), streams *reflector.Metrics, log logr.Logger, reg prometheus.Registerer,
) (*shard, error) {
	leases, err := coordinationclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for Leases: %w", err)
	}
	s := &shard{cfg: cfg, log: log, targets: &targets{}, index: x}
	uid := cfg.PodUID
	if uid == "" {
		uid = uuid.NewString()
	}
	s.member, err = membership.New(ownerref.Leases(leases, owner), membership.Options{
		RingName: cfg.RingName, Namespace: cfg.PodNamespace, PodName: cfg.PodName, PodUID: uid, Format: ring.DefaultFormat(),
		Timings: timings(cfg), Duty: duty(cfg),
		Drainer: s, Objects: s.objects, Hold: true, Admission: true, Log: log.WithName("ring"), Registerer: reg,
		Restored: restored, Streams: streams,
	})
	if err != nil {
		return nil, fmt.Errorf("making the member of the ring: %w", err)
	}
	return s, nil
}

func timings(cfg config.Config) ownership.Timings {
	t := ownership.DefaultTimings()
	t.LeaseDuration, t.RenewDeadline, t.RenewInterval = cfg.LeaseDuration, cfg.LeaseRenewDeadline, cfg.LeaseRenewInterval
	t.Retention = max(t.Retention, 2*t.LeaseDuration)
	return t
}

// ownedCount remembers how many objects we own for as long as a count is worth: it hashes every ID, which
// takes a tenth of a second for a million.
type ownedCount struct {
	mu sync.Mutex // guards what follows
	n  int
	at time.Time
}

const countFor = 10 * time.Second

// objects is for [membership.Options.Objects].
func (s *shard) objects() int {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if time.Since(s.shard.at) < countFor {
		return s.shard.n
	}
	s.shard.n = 0
	owned := s.member.Owned().Rest()
	for _, t := range s.index.Types() {
		s.index.All(t, func(namespace, name string, _ uint64) bool {
			if owned.Has(s.member.Partition(t.ID(namespace, name))) {
				s.shard.n++
			}
			return true
		})
	}
	s.shard.at = time.Now()
	return s.shard.n
}

// drainPatience is how long a handoff waits for requests in flight. One that hangs is ended: what it may
// still change is in doubt then, which the successor is told.
const drainPatience = 10 * time.Second

// Drain implements [membership.Drainer]: the requests of what is lost end, then a last checkpoint under the old claim
// tells the new owners what need not be sent again.
func (s *shard) Drain(lost ownership.Area) <-chan struct{} {
	var all sync.WaitGroup
	for _, t := range s.targets.all() {
		seat := seat{s.member, targetKey(t.name)}
		if !lost.Touches(seat.target) {
			continue
		}
		match := seat.in(lost)
		ended := t.pipeline.Drain(match)
		all.Go(func() { // Ends soon after the requests, which end by their patience.
			patience := time.NewTimer(drainPatience)
			defer patience.Stop()
			select {
			case <-ended:
			case <-patience.C:
				t.log.Info("A handoff ends requests that the receiver does not answer", "after", drainPatience.String())
				t.pipeline.Cancel(match)
				<-ended
			}
			ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
			defer cancel()
			t.publishLast(ctx)
		})
	}
	done := make(chan struct{})
	go func() { // Ends with those.
		defer close(done)
		all.Wait()
	}()
	return done
}

// waitJoined waits until the checkpoints are read and we are a member, or know that others are who do the work while we
// read the cluster, but not for longer than joinWait.
func (s *shard) waitJoined(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	for _, t := range s.targets.all() {
		select {
		case <-ctx.Done():
			return
		case <-t.store.Synced():
		}
	}
	_ = s.member.Await(ctx, func() bool { return s.member.Owned().Rest().Len() > 0 || s.member.Holding() })
}

// run keeps the pipelines informed of what they may send until ctx ends.
func (s *shard) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.member.Changes():
			s.ownershipChanged(ctx)
		}
	}
}

// ownershipChanged takes up what has been gained and parks what has been lost.
func (s *shard) ownershipChanged(ctx context.Context) {
	gains, token := s.member.Gains()
	if !gains.All.Empty() {
		if !s.catchUp(ctx, gains.All) {
			return
		}
		for t, seat := range s.targetsIn(gains.All) {
			t.takeUp(seat.in(gains.All), seat.in(gains.Crashed))
		}
		s.member.Admit(token)
		for t, seat := range s.targetsIn(gains.All) {
			t.pipeline.Gained(seat.in(gains.All)) // again, for what has come in between
			t.receive()
		}
	}
	members := s.members()
	for _, t := range s.targets.all() {
		t.pipeline.SetMaxInFlight(max(t.spec.maxInFlight/members, 1))
		t.pipeline.MaySendChanged()
	}
}

// targetsIn yields the targets of which something is in an area.
func (s *shard) targetsIn(a ownership.Area) iter.Seq2[*target, seat] {
	return func(yield func(*target, seat) bool) {
		for _, t := range s.targets.all() {
			seat := seat{s.member, targetKey(t.name)}
			if a.Touches(seat.target) && !yield(t, seat) {
				return
			}
		}
	}
}

// takeUp prepares what has been gained, some of it from members that have crashed, before it may be sent.
// Checkpoints are as they were when it was given up.
func (t *target) takeUp(gained, crashed pipeline.Match) {
	t.pipeline.Gained(gained)
	t.pipeline.ForgetCovered(nil)
	t.pipeline.Doubt(crashed)
}

// catchUp waits until we know at least what the former owners of what was gained had sent: their last checkpoints,
// which were written before they gave anything up, and of each type the newest change that they had seen. Without
// that, a member whose watches lag, or stood still while it was stopped, would send older states after newer ones. It
// returns false when ctx ended.
func (s *shard) catchUp(ctx context.Context, gained ownership.Area) bool {
	began := time.Now()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	fresh := make(map[*target]bool)
	for told := false; ; {
		behind := ""
		for t, seat := range s.targetsIn(gained) {
			if !fresh[t] {
				err := t.store.Refresh(ctx)
				if fresh[t] = err == nil; err != nil {
					behind = err.Error()
					continue
				}
			}
			if typ := t.behind(func(typ resource.Type) bool { return gained.TouchesKind(seat.kind(typ)) }); typ != "" {
				behind = typ
			}
		}
		waited := time.Since(began)
		switch {
		case behind == "":
			return true
		case waited > catchUpPatience:
			s.log.Info("Taking over although some watches may be behind what the receiver has", "waitedFor", behind, "after", waited.Round(time.Millisecond).String())
			return true
		case waited > time.Second && !told:
			told = true
			s.log.Info("Waiting for watches before taking over", "waitingFor", behind)
		}
		select {
		case <-ctx.Done():
			return false
		case <-pause.C:
		}
	}
}

// catchUpPatience bounds the wait for watches that do not come forward: one that is broken brings nothing that could be
// sent, and after a restore of etcd the others' words are of a future that never was.
const catchUpPatience = 15 * time.Second

// members is by how many the receivers' bounds are to be divided.
func (s *shard) members() int { return max(len(s.member.View().View), 1) }

// release publishes the last checkpoints and gives up the Lease, so that the others take over at once.
func (s *shard) release(ctx context.Context) {
	var all sync.WaitGroup
	for _, t := range s.targets.all() {
		t.leaving.Store(true)
		all.Go(func() { t.publishLast(ctx) })
	}
	all.Wait()
	if err := s.member.Release(ctx); err != nil {
		s.log.Error(err, "Lease could not be released; the others wait until it expires")
	}
}
