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

// Catalog knows which state of an object is current; [index.Index] is one.
type Catalog interface {
	IfCurrent(t resource.Type, r resource.Record, f func()) bool
	Type(t resource.Type) index.Stats
}

// Target takes the objects that are sent again; [pipeline.Pipeline] is one.
type Target interface {
	Offer(t resource.Type, r resource.Record, ticket *pipeline.Ticket)
	Room(ctx context.Context) error
	FlushBulk()
}

// Part names the objects to send.
type Part struct {
	// Type is the type.
	Type resource.Type
	// Namespaces limit the part to these namespaces; nil means all, and cluster-scoped objects. It is nil for
	// cluster-scoped types.
	Namespaces []string
	// Own leaves out objects that are another member's; see [Options.Away].
	Own bool
}

// Options of a [Sender].
type Options struct {
	// Wants tells which objects the receiver should have; nil means all.
	Wants func(t resource.Type, namespace, name string) bool
	// Away tells whether an object is another member's, of whatever age our Lease is: a fence takes nothing away. nil
	// means that none is.
	Away func(t resource.Type, id resource.ID) bool
	// Target is the receiver's name in spans.
	Target string
	// Tracer begins a span for each part; nil begins none.
	Tracer *tracing.Tracer
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
	// Compare begins to compare the list of a part with the known state, so that the resync ends equal to the list.
	// nil compares nothing. in tells which objects are in the part; nil means all of the type.
	Compare func(t resource.Type, in func(namespace, name string) bool) Comparison
	// Deleted waits until the receiver knows of those deletions that we have to send; nil waits for none.
	Deleted func(ctx context.Context, gone []resource.ID) error
}

// Comparison compares one list with the known state.
type Comparison interface {
	// Page takes a page; Reset discards all pages.
	Page(rs []resource.Record)
	Reset()
	// Settle ends a complete list of a version, and repairs the differences. It returns the repaired objects.
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

// ErrLost says that we were not the only sender of a part, or not to its end. It also says that we might not send
// for a while, although nothing was lost.
var ErrLost = errors.New("the part that was being sent is not this replica's any more")

// errNotListed says that a type has no complete list yet; once it has one, all its objects are sent anyway.
var errNotListed = errors.New("its objects have not been read yet; they are sent as soon as they are")

// Send sends one part and returns when the receiver has taken all objects, or has refused the rest for good. It
// returns [ErrLost] when we were not the only sender throughout, and early when lost is closed. About twice a
// second it calls progress with the number of offered objects and of those that have yet to arrive.
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
	if errors.Is(context.Cause(ctx), ErrLost) || err == nil && ticket.Missed() > 0 {
		return ErrLost
	}
	return err
}

// await waits until all offered objects have arrived.
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

// offer lists a part and offers the objects that are current.
func (s *Sender) offer(ctx context.Context, p Part, ticket *pipeline.Ticket, progress func(offered, open int)) error {
	if err := s.room(ctx); err != nil {
		return err
	}
	var behind []resource.Record // read, but not known yet: our watch is behind the list
	offer := func(r resource.Record) bool {
		return s.catalog.IfCurrent(p.Type, r, func() { s.target.Offer(p.Type, r, ticket) })
	}
	page := func(rs []resource.Record) error {
		for _, r := range rs {
			if s.ours(p, r.Namespace, r.Name) && !offer(r) {
				behind = append(behind, r)
			}
		}
		s.read.Add(float64(len(rs)))
		progress(ticket.Count())
		return s.room(ctx) // before the next page is requested
	}
	namespaces := p.Namespaces
	if namespaces == nil {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		behind = nil
		if err := s.list(ctx, p.Type, namespace, page); err != nil {
			return err
		}
		for _, r := range behind { // The index has reached the list. Objects that have changed since are sent for that.
			offer(r)
		}
	}
	return nil
}

// ours tells whether an object is to be sent with a part.
func (s *Sender) ours(p Part, namespace, name string) bool {
	if s.opts.Wants != nil && !s.opts.Wants(p.Type, namespace, name) {
		return false
	}
	return !p.Own || s.opts.Away == nil || !s.opts.Away(p.Type, p.Type.ID(namespace, name))
}

func (s *Sender) room(ctx context.Context) error {
	if err := s.target.Room(ctx); err != nil {
		return fmt.Errorf("waiting for the receiver: %w", err)
	}
	return nil
}

// list lists a type once. A list whose version expires in the middle is begun again, because a receiver may take
// longer over a large type than etcd keeps a version. Objects that an earlier list had reached are not offered
// twice.
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

// settle repairs the differences between the list and the known state, and sends the repaired objects, so that
// the resync ends equal to the list.
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

// equal is the Comparison that compares nothing.
type equal struct{}

func (equal) Page([]resource.Record) {}

func (equal) Reset() {}

func (equal) Settle(context.Context, uint64) ([]resource.Record, []resource.ID, error) {
	return nil, nil, nil
}

// expiredPause is the wait after a list expired without coming further than the one before it. An API server that
// answers so is busy compacting, or broken.
const expiredPause = time.Second

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to list again: %w", ctx.Err())
	}
}
