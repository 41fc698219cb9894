package typeset

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Sure returns the types that are served and wanted, each as a whole, even if only slices of it are read. ok is
// false while some group does not answer.
func (k *Set) Sure() (types []resource.Type, ok bool) {
	s := k.Discovered()
	return s.Types, !s.LastComplete.IsZero() && len(s.Failed) == 0
}

// Served returns the types, and slices of types, that are served and wanted, without those that are
// [watch.Unreadable].
func (k *Set) Served() []resource.Type {
	unreadable := make(map[resource.Type]bool)
	for _, w := range k.Watches.Status() {
		unreadable[w.Type] = w.Phase == watch.Unreadable
	}
	return slices.DeleteFunc(k.Scopes.Of(k.Discovered().Types), func(t resource.Type) bool { return unreadable[t] })
}

// Watching tells whether the watch of a type works.
func (k *Set) Watching(t resource.Type) bool {
	return slices.ContainsFunc(k.Watches.Status(), func(w watch.Status) bool { return w.Type == t && w.Phase == watch.Synced })
}
