package target

import (
	"context"
	"fmt"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// Outlet connects to receivers; [HTTP] is one.
type Outlet interface {
	// Connect returns a sender to a receiver. It sends nothing yet.
	Connect(s Spec, f wire.Format, p Parts) (Connection, error)
	// List returns a client for the receiver's own list, at a pace, or [orphans.ErrNoList] if it has none.
	List(s Spec, p Parts, pace func(ctx context.Context) (done func(), err error)) (Listing, error)
}

// Connection sends to one receiver.
type Connection interface {
	pipeline.Sender
	// Observe is for [pipeline.Options.Observe].
	Observe(s delivery.State)
	Close()
}

// Listing reads one receiver's own list.
type Listing interface {
	orphans.Receiver
	Close()
}

// HTTP connects to receivers by HTTP, under the fence of our membership: a request ends when the Lease has not
// been renewed in time.
type HTTP struct{ Member *membership.Membership }

// Connect implements [Outlet].
func (h HTTP) Connect(s Spec, f wire.Format, p Parts) (Connection, error) {
	client, err := delivery.New(s.Endpoint.String(), f, delivery.Options{
		Target: s.Name, Version: p.Version, Member: p.Member, Token: s.Token, CA: s.CA, Files: s.Files,
		Timeout: s.Timeout, BeforeWrite: h.Member.BeforeWrite, Tracer: p.Tracer, Registerer: p.Registerer, Log: p.Log.WithName("delivery"),
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", s.Endpoint.Redacted(), err)
	}
	return fenced{client, h.Member}, nil
}

// List implements [Outlet].
func (HTTP) List(s Spec, p Parts, pace func(ctx context.Context) (done func(), err error)) (Listing, error) {
	client, err := orphans.New(s.Format, s.Endpoint, orphans.Options{Token: s.Token, CA: s.CA, Files: s.Files, Version: p.Version, Pace: pace})
	if err != nil {
		return nil, fmt.Errorf("making the client of the receiver's listing: %w", err)
	}
	return client, nil
}

// fenced sends under the fence.
type fenced struct {
	*delivery.Client
	member *membership.Membership
}

// Send implements [pipeline.Sender].
func (f fenced) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	ctx, cancel := f.member.WithFence(ctx)
	defer cancel()
	return f.Client.Send(ctx, r)
}
