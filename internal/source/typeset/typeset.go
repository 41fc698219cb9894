package typeset

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

// Options are the parts that a [Set] works on.
type Options struct {
	Scopes  *access.Scopes // nil: every type is read as a whole
	Watches *watch.Manager
	Index   *index.Index
	Log     logr.Logger
	// Discovered returns the status of discovery.
	Discovered func() discovery.Status
	// Delivered tells whether the objects of a type's first list are delivered.
	Delivered func(resource.Type) bool
	// Gone is called for a type whose objects the index has forgotten: the receiver may have more of its documents,
	// from an earlier process.
	Gone func(resource.Type)
	// Remembered are the types, and slices of types, of an earlier process.
	Remembered func() []resource.Type
}

// Set applies what discovery finds to the watches and the index.
type Set struct {
	Options

	mu         sync.Mutex                   // guards migrations and the values behind its pointers
	migrations map[resource.Type]*migration // by the old type
}

// New returns a set without types.
func New(o Options) *Set {
	return &Set{Options: o, migrations: make(map[resource.Type]*migration)}
}

// migration is a type whose documents are deleted once those of its successor are delivered.
type migration struct {
	to     resource.Type
	cancel context.CancelFunc
}

// stopTimeout bounds how long a watch may take to end. A watch ends as soon as its call into the index returns.
const stopTimeout = 30 * time.Second

// Apply is called by one goroutine. It blocks until the removed types are forgotten, so that a type that returns
// with the next change is not mistaken for the removed one.
func (k *Set) Apply(ctx context.Context, c discovery.Change) {
	read := k.Scopes.Decide(ctx, c.Types)
	k.revive(read)
	k.Watches.Set(read)
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
	k.Log.V(1).Info("Types applied", "types", len(c.Types), "watches", len(read), "removed", len(c.Removed), "migrated", len(c.Migrated), "complete", c.Complete)
}

// slicesOf returns a type with all its known slices, of this process or of an earlier one.
func (k *Set) slicesOf(t resource.Type) []resource.Type {
	known := []resource.Type{t}
	for _, o := range slices.Concat(k.Index.Types(), k.Remembered()) {
		if o.Whole() == t && !slices.Contains(known, o) {
			known = append(known, o)
		}
	}
	return known
}

// moves returns the migrations of a type, slice by slice. Both types have the same slices, unless rights have
// changed: only then is a type that was read by namespace read as a whole. Slices of another division are
// forgotten when the last slice of the new type is delivered.
func (k *Set) moves(m discovery.Migration) []discovery.Migration {
	to := k.Scopes.Of([]resource.Type{m.New})
	if len(to) == 0 {
		return nil // ctx has ended
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

func (k *Set) forget(ctx context.Context, t resource.Type) {
	stopped, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := k.Watches.WaitStopped(stopped, t); err != nil {
		k.Log.Error(err, "Watch did not end; its objects stay until the next resync", "resource", t.String())
		return
	}
	n := k.Index.Remove(t)
	k.Log.Info("Type is gone, deleting its documents", "resource", t.String(), "objects", n)
	k.Gone(t)
}

// migrate forgets the old type once the new one has been delivered, unless the old one comes back before that.
func (k *Set) migrate(ctx context.Context, m discovery.Migration) {
	ctx, cancel := context.WithCancel(ctx)
	moving := &migration{to: m.New, cancel: cancel}
	k.mu.Lock()
	k.migrations[m.Old] = moving
	k.mu.Unlock()
	k.Log.Info("Type is served under another version, moving its documents", "from", m.Old.String(), "to", m.New.String())
	go func() { // The goroutine ends with ctx, which ends before the index does.
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

// moved forgets the old type if its successor is delivered, and tells whether it has.
func (k *Set) moved(ctx context.Context, old resource.Type, m *migration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil || !k.Watches.HasSynced(m.to) || !k.Delivered(m.to) {
		return false
	}
	delete(k.migrations, old)
	k.forget(ctx, old)
	return true
}

// revive cancels the migrations of types that are served again.
func (k *Set) revive(types []resource.Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range types {
		if m, ok := k.migrations[t]; ok {
			m.cancel()
			delete(k.migrations, t)
		}
	}
}

// redirect makes types that wait for a type that is itself replaced wait for the successor of that type.
func (k *Set) redirect(next discovery.Migration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.migrations {
		if m.to == next.Old {
			m.to = next.New
		}
	}
}

// forgetMigrating forgets types whose successor is gone: no type will replace them.
func (k *Set) forgetMigrating(ctx context.Context, gone resource.Type) {
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
