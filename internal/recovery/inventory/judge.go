package inventory

import (
	"fmt"
	"iter"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// State is the present state of a type.
type State struct {
	// Listed tells that a complete list of the type is known, as it was at Version or later.
	Listed bool
	// Gone tells that the type is proven to be no longer served: all its objects are gone. It excludes Listed.
	Gone bool
	// Version is the newest resourceVersion seen of the type, 0 when it is no number.
	Version uint64
}

// View is the present, with which an inventory is compared.
type View interface {
	// State returns the state of a type; the zero State for an unknown one.
	State(t resource.Type) State
	// Has tells whether an object of a listed type exists.
	Has(t resource.Type, namespace, name string) bool
	// Watched tells whether the object would be known if it existed, by the configured selection of namespaces.
	// An object that is not watched is not missing.
	Watched(t resource.Type, namespace, name string) bool
	// NamespaceGone tells whether a complete list of the cluster's namespaces lacks one. The objects in such a
	// namespace are proven to be gone, and need no person's consent.
	NamespaceGone(namespace string) bool
	// Lost tells that the API server's etcd was restored from a backup since: versions can no longer be compared,
	// and nothing is proven. The inventory still names what a receiver may hold.
	Lost() bool
}

// Verdict is the result of comparing an inventory with the present, for one type.
type Verdict struct {
	// Info is the type as the inventory has it.
	Info TypeInfo
	guard.Verdict
}

// Judge compares the names of one type with the present; see [guard.Compare]. It reads no file and no clock. A
// type that has no complete list, or no versions that compare, is [guard.Unknown]. Judge fails with
// [ErrBackwards] when the type's versions went backwards, and with the error of the names, and then returns no
// verdict.
func Judge(info TypeInfo, names iter.Seq2[guard.Object, error], v View, force bool) (Verdict, error) {
	now := v.State(info.Type)
	switch {
	case now.Gone:
	case !now.Listed || info.Version == 0 || now.Version == 0:
		return unknown(info), nil
	case info.Version > now.Version && !v.Lost():
		return Verdict{}, backwards(info, now)
	}
	verdict, err := guard.Compare(guard.Question{
		Names: names, Known: info.Objects, Force: force,
		Watched: func(o guard.Object) bool { return v.Watched(info.Type, o.Namespace, o.Name) },
		There:   func(o guard.Object) bool { return !now.Gone && v.Has(info.Type, o.Namespace, o.Name) },
		Proven:  func(o guard.Object) bool { return v.NamespaceGone(o.Namespace) && !v.Lost() },
	})
	if err != nil {
		return Verdict{}, err // It is the names' own.
	}
	return Verdict{info, verdict}, nil
}

func unknown(info TypeInfo) Verdict {
	return Verdict{info, guard.Verdict{Known: info.Objects, Limit: guard.Limit(info.Objects)}}
}

// IsAheadOf tells whether the inventory knew a type up to a later version than the index does now. It says nothing of a
// type that is not listed, or whose versions are no numbers.
func (i TypeInfo) IsAheadOf(now State) bool {
	return now.Listed && now.Version != 0 && i.Version > now.Version
}

func backwards(info TypeInfo, now State) error {
	return fmt.Errorf("%w: %s is at version %d, and was at %d", ErrBackwards, info.Type, now.Version, info.Version)
}

// Check fails with [ErrBackwards] when any listed type is behind the inventory, which voids all of it: types
// share an etcd, and after a restore one type may by chance have passed its old version.
func (inv *Inventory) Check(v View) error {
	if v.Lost() {
		return nil
	}
	for _, s := range inv.types {
		if info, now := s.info(), v.State(s.typ()); info.IsAheadOf(now) {
			return backwards(info, now)
		}
	}
	return nil
}

// Judge checks the whole inventory and judges one of its types; see [Judge]. A type that is not in the inventory is
// [guard.Unknown].
func (inv *Inventory) Judge(t resource.Type, v View, force bool) (Verdict, error) {
	if err := inv.Check(v); err != nil {
		return Verdict{}, err
	}
	s, ok := inv.find(t)
	if !ok {
		return unknown(TypeInfo{Type: t}), nil
	}
	return Judge(s.info(), inv.Objects(t), v, force)
}
