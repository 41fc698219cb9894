package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// typeSet carries what discovery finds to the watches and the index, in an order that loses nothing: a type's watch
// has ended before its objects are forgotten, and a type that takes another's place is delivered before what the other
// has left is deleted.
type typeSet struct {
	scopes  *access.Scopes // nil: every type is read as a whole
	watches *watch.Manager
	index   *index.Index
	log     logr.Logger
	// delivered tells whether what the first list of a type has brought is delivered.
	delivered func(resource.Type) bool
	// gone is told of a type whose objects have been forgotten: there may have been others, in an earlier life.
	gone func(resource.Type)
	// remembered are the types of an earlier life, and slices of types.
	remembered func() []resource.Type

	mu         sync.Mutex                   // guards migrations and what they point to
	migrations map[resource.Type]*migration // by the old type
}

// migration is a type whose documents go once those of another are delivered.
type migration struct {
	to     resource.Type
	cancel context.CancelFunc
}

// stopTimeout bounds how long a watch may take to end; it only has to leave a call into the index.
const stopTimeout = 30 * time.Second

// apply is called by one goroutine. It blocks until types that are gone are forgotten, so that a type that comes back
// with the next change is not mistaken for the one that went.
func (k *typeSet) apply(ctx context.Context, c discovery.Change) {
	read := k.scopes.Decide(ctx, c.Types)
	k.revive(read)
	k.watches.Set(read)
	for _, gone := range c.Removed {
		for _, t := range k.slicesOf(gone) {
			k.forget(ctx, t)
			k.forgetMigrating(ctx, t)
		}
	}
	for _, moved := range c.Migrated {
		for _, m := range k.moves(moved) {
			k.redirect(m)
			k.migrate(ctx, m)
		}
	}
	k.log.V(1).Info("Types applied", "types", len(c.Types), "watches", len(read), "removed", len(c.Removed), "migrated", len(c.Migrated), "complete", c.Complete)
}

// slicesOf returns a type with all slices of it that are known, now or from an earlier life.
func (k *typeSet) slicesOf(t resource.Type) []resource.Type {
	known := []resource.Type{t}
	for _, o := range slices.Concat(k.index.Types(), k.remembered()) {
		if o.Whole() == t && !slices.Contains(known, o) {
			known = append(known, o)
		}
	}
	return known
}

// moves returns which type takes which one's place, slice by slice. A type that was read by
// namespace in one life is not read as a whole in the next but for a change of rights, so that both
// have the same slices; what is left of another division goes when the last slice of the new type
// is delivered.
func (k *typeSet) moves(m discovery.Migration) []discovery.Migration {
	to := k.scopes.Of([]resource.Type{m.New})
	if len(to) == 0 {
		return nil // we are ending
	}
	var all []discovery.Migration
	for _, from := range k.slicesOf(m.Old) {
		into := to[len(to)-1]
		if i := slices.IndexFunc(to, func(t resource.Type) bool { return t.Within == from.Within }); i >= 0 {
			into = to[i]
		}
		all = append(all, discovery.Migration{Old: from, New: into})
	}
	return all
}

func (k *typeSet) forget(ctx context.Context, t resource.Type) {
	stopped, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := k.watches.WaitStopped(stopped, t); err != nil {
		k.log.Error(err, "Watch did not end; its objects stay until the next resync", "resource", t.String())
		return
	}
	n := k.index.Remove(t)
	k.log.Info("Type is gone, deleting its documents", "resource", t.String(), "objects", n)
	k.gone(t)
}

// migrate forgets the old type once the new one has been delivered, unless the old one comes back before that.
func (k *typeSet) migrate(ctx context.Context, m discovery.Migration) {
	ctx, cancel := context.WithCancel(ctx)
	moving := &migration{to: m.New, cancel: cancel}
	k.mu.Lock()
	if k.migrations == nil {
		k.migrations = make(map[resource.Type]*migration)
	}
	k.migrations[m.Old] = moving
	k.mu.Unlock()
	k.log.Info("Type is served under another version, moving its documents", "from", m.Old.String(), "to", m.New.String())
	go func() { // Ends with ctx, which ends before the index does.
		defer cancel()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for !k.moved(ctx, m.Old, moving) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

// moved forgets the old type if its place is taken, and tells whether it was.
func (k *typeSet) moved(ctx context.Context, old resource.Type, m *migration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil || !k.watches.HasSynced(m.to) || !k.delivered(m.to) {
		return false
	}
	delete(k.migrations, old)
	k.forget(ctx, old)
	return true
}

// revive calls off the end of types that are served again.
func (k *typeSet) revive(types []resource.Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range types {
		if m, ok := k.migrations[t]; ok {
			m.cancel()
			delete(k.migrations, t)
		}
	}
}

// redirect lets types that wait for one that is itself replaced wait for its successor.
func (k *typeSet) redirect(next discovery.Migration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.migrations {
		if m.to == next.Old {
			m.to = next.New
		}
	}
}

// forgetMigrating forgets types that wait for one that is gone: nothing will take their place.
func (k *typeSet) forgetMigrating(ctx context.Context, gone resource.Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for old, m := range k.migrations {
		if m.to == gone {
			m.cancel()
			delete(k.migrations, old)
			k.forget(ctx, old)
		}
	}
}
