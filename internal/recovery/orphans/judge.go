package orphans

import (
	"context"
	"errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// State is what is known of a kind at present. The zero State knows nothing, hence judges nothing.
type State struct {
	// Type is the type whose objects carry the kind.
	Type resource.Type
	// Listed tells that all objects of the type are known, Objects how many there are.
	Listed  bool
	Objects int
	// Gone tells that it is proven that nothing serves the kind in that version: all its objects are gone. It excludes
	// Listed.
	Gone bool
}

// View is the present, with which a receiver's list is compared.
type View interface {
	// Kind returns what is known of a kind. For a type that is served and not wanted it is the zero State.
	Kind(kind, apiVersion string) State
	// Has tells whether an object of a listed type exists. Namespace is empty for a cluster-scoped one.
	Has(t resource.Type, namespace, name string) bool
	// Watched tells whether the object would be known if it existed, by the selection of namespaces that is configured.
	Watched(t resource.Type, namespace, name string) bool
}

// Status is what came of comparing one kind.
type Status uint8

const (
	// Unknown: the kind cannot be judged at present.
	Unknown Status = iota
	// Compared: the orphans may be deleted.
	Compared
	// Guarded: there are more orphans than may be deleted without a person's word.
	Guarded
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case Compared:
		return "compared"
	case Guarded:
		return "guarded"
	default:
		return "unknown"
	}
}

// Orphan is a document whose object is gone.
type Orphan struct {
	// ID is the document's identity.
	ID resource.ID
	// Namespace is empty for a cluster-scoped object; Name is the object's name.
	Namespace, Name string
}

// Verdict is what a receiver's list and the present say about one kind together.
type Verdict struct {
	// Kind is the kind as the receiver has it, Type what serves it; the zero Type when nothing does.
	Kind Kind
	Type resource.Type
	// Status says what the rest means.
	Status Status
	// Blind tells that the receiver may hold documents of the kind that it did not list.
	Blind bool
	// Listed is how many documents were listed. Of these, Odd have an identity under which they were never sent, and
	// Unwatched are of namespaces that are not watched; neither are judged.
	Listed, Odd, Unwatched int
	// Orphans is how many documents have no object, and Limit how many may be deleted unasked.
	Orphans, Limit int
	// Deleted are the orphans; none unless Status is Compared.
	Deleted []Orphan
	// Unlisted is how many objects there are whose documents were not listed, 0 when that is not known because the list
	// is blind. Some may be on their way.
	Unlisted int
}

// Judge compares one listing with the present. Force lets it name more than the guard allows.
func Judge(l Listing, v View, force bool) Verdict {
	now := v.Kind(l.Kind.Kind, l.Kind.APIVersion)
	verdict := Verdict{
		Kind: l.Kind, Type: now.Type, Blind: l.Blind, Listed: len(l.Documents), Limit: guard.Limit(len(l.Documents)),
	}
	if !now.Listed && !now.Gone {
		return verdict
	}
	there := 0
	for _, d := range l.Documents {
		namespace := d.Namespace
		if namespace == resource.ClusterNamespace {
			namespace = ""
		}
		parts := resource.Parts{Namespace: d.Namespace, APIVersion: l.Kind.APIVersion, Kind: l.Kind.Kind, Name: d.Name}
		switch {
		case odd(now, parts, namespace):
			verdict.Odd++
		case !v.Watched(now.Type, namespace, d.Name):
			verdict.Unwatched++
		case now.Listed && v.Has(now.Type, namespace, d.Name):
			there++
		default:
			verdict.Orphans++
			verdict.Deleted = append(verdict.Deleted, Orphan{ID: parts.ID(), Namespace: namespace, Name: d.Name})
		}
	}
	verdict.Status = Compared
	if !force && guard.Exceeded(verdict.Orphans, len(l.Documents)) {
		verdict.Status, verdict.Deleted = Guarded, nil
	}
	if now.Listed && !l.Blind {
		verdict.Unlisted = max(0, now.Objects-there)
	}
	return verdict
}

// odd tells whether a document has an identity that this program would not give it: of a cluster-scoped object in a
// namespace, or a name with a slash. Deleting it by its object would delete the document of another.
func odd(now State, parts resource.Parts, namespace string) bool {
	id := parts.ID()
	if read, err := resource.ParseID(string(id)); err != nil || read != parts {
		return true
	}
	return now.Listed && (now.Type.ID(namespace, parts.Name) != id || now.Type.Namespaced && namespace == "")
}

// Receiver can be asked what it holds; [Client] is one.
type Receiver interface {
	// Kinds is as [Client.Kinds].
	Kinds(ctx context.Context) (kinds []Kind, blind bool, err error)
	// List is as [Client.List].
	List(ctx context.Context, kind Kind) (Listing, error)
}

// FindOptions narrow and widen a pass.
type FindOptions struct {
	// Want tells which kinds to look at. Nil means all.
	Want func(Kind) bool
	// Force deletes more than the guard allows.
	Force bool
}

// Report is what a pass has found.
type Report struct {
	// Verdicts are those of the kinds that were listed.
	Verdicts []Verdict
	// Blind tells that the receiver does not see all it holds. Then every verdict is blind.
	Blind bool
}

// Find lists each kind that a receiver holds and judges it. A kind that cannot be listed is left out and
// makes an error, beside which the report is good; so does the end of ctx. Kinds of which nothing is held are
// not in the report.
func Find(ctx context.Context, r Receiver, v View, opts FindOptions) (Report, error) {
	kinds, blind, err := r.Kinds(ctx)
	if err != nil {
		return Report{}, err
	}
	report := Report{Blind: blind}
	var errs []error
	for _, k := range kinds {
		if opts.Want != nil && !opts.Want(k) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return report, errors.Join(append(errs, err)...)
		}
		l, err := r.List(ctx, k)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.Blind = l.Blind || blind
		report.Verdicts = append(report.Verdicts, Judge(l, v, opts.Force))
	}
	return report, errors.Join(errs...)
}
