package resync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
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
	Offer(t resource.Type, r resource.Record, ticket *pipeline.Ticket)
	Room(ctx context.Context) error
	FlushBulk()
}

// Part is what to send.
type Part struct {
	// Type is the type.
	Type resource.Type
	// Namespaces are the only ones to be sent; nil means all, and cluster-scoped objects. It is nil for
	// cluster-scoped types.
	Namespaces []string
	// Own leaves out what others own.
	Own bool
}

// Options of a [Sender].
type Options struct {
	// Wants tells which objects the receiver is to have; nil means all.
	Wants func(t resource.Type, namespace, name string) bool
	// Target is the receiver's name in spans.
	Target string
	// Tracer begins a span for each part; nil begins none.
	Tracer *tracing.Tracer
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
	// Compare begins to hold the list of a part against what is known, for the resync is to end equal to the list; nil
	// compares nothing. In tells which objects are in the part; nil means all of the type.
	Compare func(t resource.Type, in func(namespace, name string) bool) Comparison
	// Deleted waits until the receiver knows of those deletions that are ours to send; nil waits for nothing.
	Deleted func(ctx context.Context, gone []resource.ID) error
}

// Comparison holds one list against what is known.
type Comparison interface {
	// Page takes a page; Reset takes all pages back.
	Page(rs []resource.Record)
	Reset()
	// Settle ends a complete list of a version, and repairs what differs. It returns what had to be.
	Settle(ctx context.Context, version uint64) (changed []resource.Record, gone []resource.ID, err error)
}

// Sender sends parts to one receiver. Create it with [NewSender].
type Sender struct {
	lister  Lister
	catalog Catalog
	target  Target
	opts    Options
	read    prometheus.Counter
}

// NewSender returns a sender.
func NewSender(lister Lister, catalog Catalog, target Target, opts Options) *Sender {
	return &Sender{
		lister: lister, catalog: catalog, target: target, opts: opts,
		read: promauto.With(opts.Registerer).NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_objects_total", Help: "Objects that resyncs have read from the API server.",
		}),
	}
}

// ErrLost says that something of a part was not ours to send, or not to the end.
var ErrLost = errors.New("what was being sent is not this replica's any more")

// errNotListed says that a type has no complete list yet; once it has one, everything in it is sent anyway.
var errNotListed = errors.New("its objects have not been read yet; they are sent as soon as they are")

// Send sends one part and returns when the receiver has taken everything, or has refused it for good; with
// [ErrLost] when we were not its only sender throughout, which ends early when lost is closed. progress is
// told how much was offered and how much of that is still to be taken, about twice a second.
func (s *Sender) Send(ctx context.Context, p Part, lost <-chan struct{}, progress func(offered, open int)) error {
	ctx, span := s.opts.Tracer.Part(ctx, s.opts.Target, p.Type.String())
	offered := 0
	err := s.send(ctx, p, lost, func(n, open int) {
		offered = n
		progress(n, open)
	})
	span.Objects(offered)
	if err != nil {
		span.End("failed", err.Error())
	} else {
		span.End("sent", "")
	}
	return err
}

// send is Send without a span.
func (s *Sender) send(ctx context.Context, p Part, lost <-chan struct{}, progress func(offered, open int)) error {
	if !s.catalog.Type(p.Type).Listed {
		return errNotListed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() { // Ends with ctx.
		defer close(watching)
		select {
		case <-lost:
			cancel(ErrLost)
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); <-watching }()
	ticket := pipeline.NewTicket()
	err := s.offer(ctx, p, ticket, progress)
	ticket.Close()
	s.target.FlushBulk()
	if err == nil {
		err = s.await(ctx, ticket, progress)
	}
	if errors.Is(context.Cause(ctx), ErrLost) || err == nil && !p.Own && ticket.Missed() > 0 {
		return ErrLost
	}
	return err
}

// await waits until everything has arrived.
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
func (s *Sender) offer(ctx context.Context, p Part, ticket *pipeline.Ticket, progress func(offered, open int)) error {
	if err := s.room(ctx); err != nil {
		return err
	}
	page := func(rs []resource.Record) error {
		for _, r := range rs {
			if s.opts.Wants != nil && !s.opts.Wants(p.Type, r.Namespace, r.Name) {
				continue
			}
			s.catalog.IfCurrent(p.Type, r, func() { s.target.Offer(p.Type, r, ticket) })
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

// list lists a type once. A list whose version expires in the middle is begun again, for a receiver may take
// longer over a large type than etcd keeps a version; what it had reached is not offered twice.
func (s *Sender) list(ctx context.Context, t resource.Type, namespace string, page func([]resource.Record) error) error {
	var from cursor
	in := func(of, _ string) bool { return of == namespace }
	if namespace == "" {
		in = nil
	}
	var c Comparison = equal{}
	if s.opts.Compare != nil {
		c = s.opts.Compare(t, in)
	}
	fresh := func(rs []resource.Record) error {
		c.Page(rs)
		left := rs[:0:0]
		for _, r := range rs {
			if !from.seen(r) {
				left = append(left, r)
			}
		}
		return page(left)
	}
	for {
		c.Reset()
		version, err := s.lister.Pages(ctx, t, watch.ListOptions{Namespace: namespace}, fresh)
		switch {
		case err == nil:
			return s.settle(ctx, c, version, page)
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

// settle repairs what differs between the list and what is known, and sends it: the resync ends equal to the list.
func (s *Sender) settle(ctx context.Context, c Comparison, version uint64, page func([]resource.Record) error) error {
	changed, gone, err := c.Settle(ctx, version)
	if err != nil {
		return fmt.Errorf("repairing what differs: %w", err)
	}
	if len(changed) > 0 {
		if err := page(changed); err != nil {
			return err
		}
	}
	if len(gone) > 0 && s.opts.Deleted != nil {
		return s.opts.Deleted(ctx, gone)
	}
	return nil
}

// equal compares nothing.
type equal struct{}

func (equal) Page([]resource.Record) {}

func (equal) Reset() {}

func (equal) Settle(context.Context, uint64) ([]resource.Record, []resource.ID, error) {
	return nil, nil, nil
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
