package orphans

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Verdict is the result of comparing a receiver's list with the present, for one type.
type Verdict struct {
	guard.Verdict
	// Blind tells that the receiver may hold documents of the type that it did not list.
	Blind bool
}

// Judge compares a listing with the objects of the type that carries its kind: watched tells whether an object
// would be known if it existed, there whether it exists. The type must have a complete list. Judge does not judge
// documents of an identity under which this program never sends. With force it may name more than the guard
// allows.
func Judge(l Listing, t resource.Type, watched, there func(guard.Object) bool, force bool) Verdict {
	verdict, _ := guard.Compare(guard.Question{ // It fails with the names alone, and these do not.
		Names: l.of(t), Known: len(l.Documents), Watched: watched, There: there, Force: force,
	})
	return Verdict{verdict, l.Blind}
}

// of yields the objects of a type that the documents describe, in the order of the list.
func (l Listing) of(t resource.Type) func(yield func(guard.Object, error) bool) {
	return func(yield func(guard.Object, error) bool) {
		for _, d := range l.Documents {
			if o, ok := d.object(t); ok && !yield(o, nil) {
				return
			}
		}
	}
}

// object returns the object of a type that a document describes; ok is false if this program would not give the
// document that identity: that of a cluster-scoped object in a namespace, or a name with a slash. Deleting it by
// its object would delete another document.
func (d Document) object(t resource.Type) (o guard.Object, ok bool) {
	o = guard.Object{Namespace: d.Namespace, Name: d.Name}
	if o.Namespace == resource.ClusterNamespace {
		o.Namespace = ""
	}
	parts := resource.Parts{Namespace: d.Namespace, APIVersion: t.APIVersion(), Kind: t.Kind, Name: d.Name}
	id := parts.ID()
	read, err := resource.ParseID(string(id))
	return o, err == nil && read == parts && t.ID(o.Namespace, o.Name) == id && t.Namespaced == (o.Namespace != "")
}
