package guard

import "iter"

// Limit is how many of n known objects or documents of one type may be deleted on an inference: 50, or a tenth of
// n, whichever is more. One small resync repairs a mistake of up to 50; beyond a tenth, a mistake is more likely
// than a true finding.
func Limit(n int) int { return max(50, n/10) }

// Status is the result of a comparison.
type Status uint8

const (
	// Unknown: the type cannot be judged at present.
	Unknown Status = iota
	// Compared: the missing objects were deleted.
	Compared
	// Guarded: more objects are missing than may be deleted without a person's consent.
	Guarded
)

// String returns the status in lower case.
func (s Status) String() string { return [...]string{"unknown", "compared", "guarded"}[s] }

// Object names an object of a type. Namespace is empty for a cluster-scoped one.
type Object struct{ Namespace, Name string }

// Question asks which of the objects of one type that a source knew still exist.
type Question struct {
	// Names yields the known objects, Known is their number.
	Names iter.Seq2[Object, error]
	Known int
	// Watched tells whether an object would be known if it existed: an object that is not watched is not missing.
	// There tells whether it exists, Proven whether it is gone for certain; with nil, no deletion is proven.
	Watched, There, Proven func(Object) bool
	// Force deletes more than the guard allows, with a person's consent.
	Force bool
}

// Verdict is the answer. The zero Verdict says nothing.
type Verdict struct {
	Status Status
	// Known is how many objects the source knew. Missing is how many of them are missing without a proof, and
	// Limit how many of these may be deleted without a person's consent.
	Known, Missing, Limit int
	// Deleted are the objects to delete, in the order of the question's names: those that are gone for certain,
	// and the missing ones where Status is Compared.
	Deleted []Object
}

// Compare answers a question. Without force the answer holds only the proven objects and as many others as the guard
// allows. It fails with the error of the names, and then has no verdict.
func Compare(q Question) (Verdict, error) {
	v := Verdict{Status: Compared, Known: q.Known, Limit: Limit(q.Known)}
	var proven []Object
	for o, err := range q.Names {
		switch {
		case err != nil:
			return Verdict{}, err
		case !q.Watched(o) || q.There(o):
			continue
		case q.Proven != nil && q.Proven(o):
			proven, v.Deleted = append(proven, o), append(v.Deleted, o)
			continue
		}
		if v.Missing++; q.Force || v.Missing <= v.Limit {
			v.Deleted = append(v.Deleted, o)
		}
	}
	if !q.Force && v.Missing > v.Limit {
		v.Status, v.Deleted = Guarded, proven
	}
	return v, nil
}
