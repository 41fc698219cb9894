package app

import (
	"context"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

// Run implements [operations.Runner]: it sends one part of a resync to the target, and repairs what it has of objects
// that are gone.
func (t *target) Run(ctx context.Context, op operations.Request, part operations.Part, progress func(offered, open int)) (operations.Repair, error) {
	if part.Held {
		return t.release(ctx, op)
	}
	p := resync.Part{Type: part.Type, Namespaces: part.Namespaces, Own: part.OwnedOnly}
	if op.Namespace != "" && op.Namespace != resource.ClusterNamespace {
		p.Namespaces = []string{op.Namespace}
	}
	if err := t.sender.Send(ctx, p, progress); err != nil {
		return operations.Repair{}, err //nolint:wrapcheck // It is shown as it is, under the name of the type.
	}
	return t.repair(ctx, op, part), nil
}

// catalog implements [operations.Catalog] over the index, for one target.
type catalog struct {
	target *target
	served func() []resource.Type
}

// Types implements [operations.Catalog].
func (c catalog) Types() []resource.Type {
	var types []resource.Type
	for _, t := range c.served() {
		if !c.target.spec.narrow || c.target.spec.types.Match(t) {
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
type members struct{ member *membership.Membership }

// Members implements [operations.View].
func (m members) Members() []string { return m.member.View().View }
