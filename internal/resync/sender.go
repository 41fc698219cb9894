package resync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

// Lister reads a type from the API server; [watch.Lister] is one.
type Lister interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
}

// Catalog knows what is current; [index.Index] is one.
type Catalog interface {
	IfCurrent(t resource.Type, r resource.Record, f func()) bool
	Type(t resource.Type) index.Stats
}

// Target takes what is sent again; [pipeline.Pipeline] is one.
type Target interface {
	OfferFor(permit *pipeline.Permit, t resource.Type, r resource.Record, ticket *pipeline.Ticket)
	Room(ctx context.Context) error
	FlushBulk()
}

// Windows makes known to all members what we send for them.
type Windows interface {
	// Open announces a type and returns when every member has seen that. The window's permit is valid until it is closed
	// or lost.
	Open(ctx context.Context, t resource.Type) (Window, error)
}

// Window is the time in which a type may be sent for others.
type Window interface {
	Permit() *pipeline.Permit
	// Close revokes the permit and has the last words said. It is called once. arrived tells whether no request under the
	// permit is under way any more; if one may be, or has had an unknown outcome, the last words are repeated.
	Close(arrived bool)
}

// Part is what to send.
type Part struct {
	// Type is the type.
	Type resource.Type
	// Namespaces are the only ones to be sent; nil means all, and cluster-scoped objects. It is nil for cluster-scoped types.
	Namespaces []string
	// Own leaves out what others own.
	Own bool
}

// Options of a [Sender].
type Options struct {
	// Wants tells which objects the receiver is to have; nil means all.
	Wants func(t resource.Type, namespace, name string) bool
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

// Sender sends parts to one receiver. Create it with [NewSender].
type Sender struct {
	lister  Lister
	catalog Catalog
	target  Target
	windows Windows
	opts    Options
	read    prometheus.Counter
	lost    prometheus.Counter
}

// NewSender returns a sender.
func NewSender(lister Lister, catalog Catalog, target Target, windows Windows, opts Options) *Sender {
	f := promauto.With(opts.Registerer)
	return &Sender{
		lister: lister, catalog: catalog, target: target, windows: windows, opts: opts,
		read: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_objects_total", Help: "Objects that resyncs have read from the API server.",
		}),
		lost: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_windows_lost_total",
			Help: "Windows in which this replica sent for others that ended early because its Lease was lost; what was in them is sent again.",
		}),
	}
}

var (
	// errNotListed says that a type has no complete list yet; once it has one, everything in it is sent anyway.
	errNotListed = errors.New("its objects have not been read yet; they are sent as soon as they are")
	errLost      = errors.New("the window in which it was sent was lost with this replica's Lease")
)

// attempts is how often a part is begun whose window is lost each time, before it is given up. A Lease is lost when the API
// server cannot be reached for the lease duration.
const attempts = 5

// Send sends one part and returns when the receiver has taken everything, or has refused it for good. progress is told how
// much was offered and how much of that is still to be taken, about twice a second.
func (s *Sender) Send(ctx context.Context, p Part, progress func(offered, open int)) error {
	if !s.catalog.Type(p.Type).Listed {
		return errNotListed
	}
	var err error
	for range attempts {
		if err = s.attempt(ctx, p, progress); !errors.Is(err, errLost) {
			return err
		}
		s.lost.Inc()
	}
	return err
}

func (s *Sender) attempt(ctx context.Context, p Part, progress func(offered, open int)) error {
	var permit *pipeline.Permit
	arrived := false
	if !p.Own {
		w, err := s.windows.Open(ctx, p.Type)
		if err != nil {
			return fmt.Errorf("making it known that %s is sent: %w", p.Type, err)
		}
		defer func() { w.Close(arrived) }()
		permit = w.Permit()
	}
	ticket := pipeline.NewTicket()
	err := s.offer(ctx, p, permit, ticket, progress)
	ticket.Close()
	s.target.FlushBulk()
	waited := s.await(ctx, ticket, progress)
	if arrived = waited == nil; err == nil {
		err = waited
	}
	if err == nil && permit != nil && !permit.Valid() {
		return errLost
	}
	return err
}

// await waits until everything has arrived. Also after a failure: the window has to stay open until then.
func (s *Sender) await(ctx context.Context, ticket *pipeline.Ticket, progress func(offered, open int)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		progress(ticket.Count())
		select {
		case <-ticket.Arrived():
			progress(ticket.Count())
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for the receiver: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// offer lists a part and offers what is current.
func (s *Sender) offer(ctx context.Context, p Part, permit *pipeline.Permit, ticket *pipeline.Ticket, progress func(offered, open int)) error {
	if err := s.room(ctx); err != nil {
		return err
	}
	page := func(rs []resource.Record) error {
		for _, r := range rs {
			if s.opts.Wants != nil && !s.opts.Wants(p.Type, r.Namespace, r.Name) {
				continue
			}
			s.catalog.IfCurrent(p.Type, r, func() { s.target.OfferFor(permit, p.Type, r, ticket) })
		}
		s.read.Add(float64(len(rs)))
		progress(ticket.Count())
		return s.room(ctx) // before the next page is asked for
	}
	if p.Namespaces == nil {
		return s.list(ctx, p.Type, "", page)
	}
	for _, namespace := range p.Namespaces {
		if err := s.list(ctx, p.Type, namespace, page); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) room(ctx context.Context) error {
	if err := s.target.Room(ctx); err != nil {
		return fmt.Errorf("waiting for the receiver: %w", err)
	}
	return nil
}

// list lists a type once. A list whose version expires in the middle is begun again, for a receiver may take longer over
// a large type than etcd keeps a version; what it had reached is not offered twice.
func (s *Sender) list(ctx context.Context, t resource.Type, namespace string, page func([]resource.Record) error) error {
	var from cursor
	fresh := func(rs []resource.Record) error {
		left := rs[:0:0]
		for _, r := range rs {
			if !from.seen(r) {
				left = append(left, r)
			}
		}
		return page(left)
	}
	for {
		_, err := s.lister.Pages(ctx, t, watch.ListOptions{Namespace: namespace}, fresh)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, watch.ErrExpired) && from.again():
		case errors.Is(err, watch.ErrExpired):
			if err := sleep(ctx, expiredPause); err != nil {
				return err
			}
		default:
			return fmt.Errorf("listing: %w", err)
		}
	}
}

// expiredPause is the wait before a list is begun again that expired without having come any further than the one
// before it. An API server that answers so is busy compacting, or broken.
const expiredPause = time.Second

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to list again: %w", ctx.Err())
	}
}
