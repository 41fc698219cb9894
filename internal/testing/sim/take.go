package sim

import (
	"context"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

// take is a member's request to be the only sender of some parts.
type take struct {
	w     *World
	m     *member
	stay  int
	parts []handoff.Span
	ready chan struct{} // closed once it is granted
	lost  chan struct{} // closed if it ends before it was given back
}

func (k *take) covers(t resource.Type, id resource.ID) bool {
	namespace, _, _ := strings.Cut(string(id), "/")
	return slices.ContainsFunc(k.parts, func(p handoff.Span) bool {
		return p.Type == t && namespace >= p.From && (p.Until == "" || namespace < p.Until)
	})
}

func (k *take) overlaps(o *take) bool {
	return slices.ContainsFunc(k.parts, func(p handoff.Span) bool {
		return slices.ContainsFunc(o.parts, func(q handoff.Span) bool {
			return p.Type == q.Type && (p.Until == "" || q.From < p.Until) && (q.Until == "" || p.From < q.Until)
		})
	})
}

// Lost implements [handoff.Hold].
func (k *take) Lost() <-chan struct{} { return k.lost }

// Give implements [handoff.Hold].
func (k *take) Give() {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	k.w.takes = slices.DeleteFunc(k.w.takes, func(o *take) bool { return o == k })
}

// take asks for parts, and waits until they are granted.
func (w *World) take(ctx context.Context, m *member, parts []handoff.Span) (handoff.Hold, error) {
	k := &take{w: w, m: m, parts: parts, ready: make(chan struct{}), lost: make(chan struct{})}
	w.mu.Lock()
	k.stay = m.stay
	w.takes = append(w.takes, k)
	w.mu.Unlock()
	select {
	case <-k.ready:
		return k, nil
	case <-k.lost:
		return nil, membership.ErrLost
	case <-ctx.Done():
		k.Give()
		return nil, ctx.Err()
	}
}
