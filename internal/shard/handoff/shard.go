package handoff

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

const (
	// PublishTimeout bounds how long a handoff waits for its checkpoint. Without the checkpoint, the new owner may
	// send delivered objects again. An API server that does not take a ConfigMap for so long does not take the Lease
	// either.
	PublishTimeout = 15 * time.Second
	// joinWait is how long the first lists wait for the ring. A member that must wait longer, until the Lease of a
	// predecessor expires, reads the cluster meanwhile and parks the objects.
	joinWait = 3 * time.Second
	// drainPatience is how long a handoff waits for requests in flight. After that the handoff ends the requests:
	// their objects are in doubt, and the successor is told.
	drainPatience = 10 * time.Second
)

// Match tells which objects a call is about.
type Match = func(t resource.Type, id resource.ID) bool

// Target is one receiver for which partitions are given up and taken up. Several goroutines call its methods.
type Target interface {
	Drainer
	Catcher
	Taker
	// Name is unique among the receivers.
	Name() string
}

// Drainer gives up objects of one receiver.
type Drainer interface {
	// Drain begins no more requests for matching objects, and closes the channel when those in flight have ended.
	// Cancel ends them.
	Drain(lost Match) <-chan struct{}
	Cancel(lost Match)
	// PublishLast writes our checkpoint before a handoff, and tries again until that has succeeded or ctx ends.
	// Leave does so before we give up everything.
	PublishLast(ctx context.Context)
	Leave(ctx context.Context)
}

// Catcher catches up with the former owners, by their checkpoints of one receiver.
type Catcher interface {
	// Synced is closed once the checkpoints have been read. Refresh reads them again.
	Synced() <-chan struct{}
	Refresh(ctx context.Context) error
	// Behind returns one of the given types of which we have seen less than another member had at its last
	// checkpoint, empty when there is none.
	Behind(among func(resource.Type) bool) string
}

// Taker takes up objects of one receiver.
type Taker interface {
	// TakeUp prepares gained objects, some of them from members that have crashed, before they may be sent.
	TakeUp(gained, crashed Match)
	// Admitted tells that the gained objects may be sent from this call on.
	Admitted(gained Match)
	// Shared tells that our share, or the members by which the receiver's bounds are divided, may have changed.
	Shared()
}

// Shard is this replica's part in the ring: its membership, and what the membership and the receivers tell each
// other.
type Shard struct {
	Member *membership.Membership

	targets func() iter.Seq[Target]
	objects Objects
	log     logr.Logger
	count   ownedCount
}

// Options of a [Shard].
type Options struct {
	// Targets yields all receivers.
	Targets func() iter.Seq[Target]
	// Objects are all objects, of which those that we own are counted.
	Objects Objects
	Log     logr.Logger
}

// New makes a member that has not joined yet. It fills in those of the member's options that a shard answers.
func New(leases coordinationv1client.LeasesGetter, member membership.Options, o Options) (*Shard, error) {
	s := &Shard{targets: o.Targets, objects: o.Objects, log: o.Log}
	member.Drainer, member.Objects, member.Hold, member.Admission = s, s.owned, true, true
	var err error
	if s.Member, err = membership.New(leases, member); err != nil {
		return nil, fmt.Errorf("making the member of the ring: %w", err)
	}
	return s, nil
}

// Drain implements [membership.Drainer]. The requests for the lost area end. Then a last checkpoint under the old
// claim tells the new owners which objects need not be sent again.
func (s *Shard) Drain(lost ownership.Area) <-chan struct{} {
	var all sync.WaitGroup
	for t, seat := range s.targetsIn(lost) {
		match := seat.in(lost)
		ended := t.Drain(match)
		all.Go(func() { // The goroutine ends soon after the requests, which end by their patience.
			patience := time.NewTimer(drainPatience)
			defer patience.Stop()
			select {
			case <-ended:
			case <-patience.C:
				s.log.Info("A handoff ends requests that the receiver does not answer", "target", t.Name(), "after", drainPatience.String())
				t.Cancel(match)
				<-ended
			}
			ctx, cancel := context.WithTimeout(context.Background(), PublishTimeout)
			defer cancel()
			t.PublishLast(ctx)
		})
	}
	done := make(chan struct{})
	go func() { // The goroutine ends with those of the targets.
		defer close(done)
		all.Wait()
	}()
	return done
}

// WaitJoined waits, a few seconds at most, until the checkpoints are read and we are a member. It also returns
// when we know that other members do the work while we read the cluster.
func (s *Shard) WaitJoined(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	for t := range s.targets() {
		select {
		case <-ctx.Done():
			return
		case <-t.Synced():
		}
	}
	_ = s.Member.Await(ctx, func() bool { return s.Member.Owned().Rest().Len() > 0 || s.Member.Holding() })
}

// Run tells the receivers which objects may be sent, until ctx ends.
func (s *Shard) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Member.Changes():
			s.ownershipChanged(ctx)
		}
	}
}

// ownershipChanged takes up gains, parks losses, and has the receivers' bounds divided by the members there are.
func (s *Shard) ownershipChanged(ctx context.Context) {
	gains, token := s.Member.Gains()
	if !gains.All.Empty() {
		if !s.catchUp(ctx, gains.All) {
			return
		}
		for t, seat := range s.targetsIn(gains.All) {
			t.TakeUp(seat.in(gains.All), seat.in(gains.Crashed))
		}
		s.Member.Admit(token)
		for t, seat := range s.targetsIn(gains.All) {
			t.Admitted(seat.in(gains.All))
		}
	}
	for t := range s.targets() {
		t.Shared()
	}
}

// targetsIn yields the receivers of which an area has any object.
func (s *Shard) targetsIn(a ownership.Area) iter.Seq2[Target, Seat] {
	return func(yield func(Target, Seat) bool) {
		for t := range s.targets() {
			if a.Touches(Key(t.Name())) && !yield(t, NewSeat(s.Member, t.Name())) {
				return
			}
		}
	}
}

// Release writes the last checkpoints and gives up the Lease, so that the others take over at once.
func (s *Shard) Release(ctx context.Context) {
	var all sync.WaitGroup
	for t := range s.targets() {
		all.Go(func() { t.Leave(ctx) })
	}
	all.Wait()
	if err := s.Member.Release(ctx); err != nil {
		s.log.Error(err, "Lease could not be released; the others wait until it expires")
	}
}
