package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

// Take implements [operations.Runner]: this replica becomes the only sender of the parts.
func (t *Target) Take(ctx context.Context, op operations.Request, parts []operations.Part) (operations.Batch, error) {
	b := &batch{t: t}
	for _, p := range parts {
		if p.Held || p.OwnedOnly {
			continue
		}
		s := handoff.Span{Type: p.Type, From: p.From, Until: p.Until}
		if op.Namespace != "" && op.Namespace != resource.ClusterNamespace {
			s.From, s.Until = op.Namespace, handoff.After(op.Namespace)
		}
		b.spans = append(b.spans, s)
	}
	return b, b.begin(ctx)
}

// batch is a group of parts of a resync of one target. It implements [operations.Batch].
type batch struct {
	t     *Target
	spans []handoff.Span
	held  handoff.Hold // nil: no span has to be held, or the hold was lost
}

// retake is the first wait before a part is taken again that was lost, or that a fence has interrupted. The wait
// doubles up to lastRetake, because what has been sent of the part is sent again.
const (
	retake     = 200 * time.Millisecond
	lastRetake = 5 * time.Second
)

// pause waits before a part is taken again.
func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting to take a part: %w", ctx.Err())
	case <-time.After(wait):
		return nil
	}
}

// begin takes the parts, and blocks until it has them.
func (b *batch) begin(ctx context.Context) error {
	for len(b.spans) > 0 {
		held, err := b.t.member.Take(ctx, b.spans)
		switch {
		case err == nil:
			b.held = held
			return nil
		case !errors.Is(err, membership.ErrLost):
			return err // The error needs no more context.
		}
		if err := pause(ctx, retake); err != nil {
			return err
		}
	}
	return nil
}

// End implements [operations.Batch].
func (b *batch) End() {
	if b.held != nil {
		b.held.Give()
		b.held = nil
	}
}

// Run implements [operations.Batch]. It sends one part to the target, and deletes documents whose objects are
// gone.
func (b *batch) Run(ctx context.Context, op operations.Request, part operations.Part, progress func(offered, open int)) (operations.Repair, error) {
	if part.Held {
		return b.t.release(ctx, op)
	}
	p := resync.Part{Type: part.Type, Namespaces: part.Namespaces, Own: part.OwnedOnly}
	if op.Namespace != "" && op.Namespace != resource.ClusterNamespace {
		p.Namespaces = []string{op.Namespace}
	}
	for wait := retake; ; wait = min(2*wait, lastRetake) {
		if err := b.t.waitFor(ctx, part); err != nil {
			return operations.Repair{}, err
		}
		var lost <-chan struct{}
		if b.held != nil {
			lost = b.held.Lost()
		}
		err := b.t.sender.Send(ctx, p, lost, progress)
		switch {
		case err == nil:
			return b.t.repair(ctx, op, part), nil
		case !errors.Is(err, resync.ErrLost) || ctx.Err() != nil:
			return operations.Repair{}, err // The message shows the error unchanged, under the name of the type.
		}
		b.End()
		if err := pause(ctx, wait); err != nil {
			return operations.Repair{}, err
		}
		if err := b.begin(ctx); err != nil {
			return operations.Repair{}, err
		}
	}
}

// waitFor waits until a part can be sent. While we are fenced, no object can be, and a list of them is in vain. Of a
// part that is limited to our own objects, it also waits until no resync of the fleet has taken any of its type.
// Objects that another replica has taken are not ours to send, and neither are they in the moment after the return.
// The wait ends with that resync's part, and so within minutes, or with ctx.
func (t *Target) waitFor(ctx context.Context, part operations.Part) error {
	err := t.member.Await(ctx, func() bool {
		return t.member.BeforeWrite() == nil && (!part.OwnedOnly || !t.member.Taken(part.Type))
	})
	if err != nil {
		return fmt.Errorf("waiting until %s may be sent: %w", part.Type, err)
	}
	return nil
}

// catalog implements [operations.Catalog] over the index, for one target.
type catalog struct {
	target *Target
	served func() []resource.Type
}

// Types implements [operations.Catalog].
func (c catalog) Types() []resource.Type {
	var types []resource.Type
	for _, t := range c.served() {
		if !c.target.spec.Narrow || c.target.spec.Types.Match(t) {
			types = append(types, t)
		}
	}
	return types
}

// Objects implements [operations.Catalog].
func (c catalog) Objects(t resource.Type, namespace string) int {
	if namespace == "" {
		return c.target.index.Type(t).Objects
	}
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	n := 0
	c.target.index.All(t, func(in, _ string, _ uint64) bool {
		if in == namespace {
			n++
		}
		return true
	})
	return n
}

// Namespaces implements [operations.Catalog].
func (c catalog) Namespaces(t resource.Type) map[string]int {
	counts := make(map[string]int)
	c.target.index.All(t, func(namespace, _ string, _ uint64) bool {
		counts[namespace]++
		return true
	})
	return counts
}

// members implements [operations.View].
type members struct{ member Member }

// Members implements [operations.View].
func (m members) Members() []string { return m.member.View().View }
