package guard

import "iter"

// Limit is how many of n known objects or documents of one type may be deleted on an inference: 50, or a tenth of n,
// whichever is more. Up to 50 a mistake is repaired by one small resync; beyond a tenth it is likelier than
// the finding.
func Limit(n int) int { return max(50, n/10) }

// Status is what came of a comparison.
type Status uint8

const (
	// Unknown: the type cannot be judged at present.
	Unknown Status = iota
	// Compared: what is missing was deleted.
	Compared
	// Guarded: more is missing than may be deleted without a person's word.
	Guarded
)

// String returns the status in lower case.
func (s Status) String() string { return [...]string{"unknown", "compared", "guarded"}[s] }

// Object names an object of a type. Namespace is empty for a cluster-scoped one.
type Object struct{ Namespace, Name string }

// Question is whether the objects of one type that something knew are there.
type Question struct {
	// Names yields them, Known is how many they are.
	Names iter.Seq2[Object, error]
	Known int
	// Watched tells whether an object would be known if it existed: what is not watched is not missing. There tells
	// whether it does, Proven whether it is gone for certain; nil: nothing is.
	Watched, There, Proven func(Object) bool
	// Force deletes more than the guard allows, at a person's word.
	Force bool
}

// Verdict is the answer. The zero Verdict says nothing.
type Verdict struct {
	Status Status
	// Known is how many were known. Missing is how many of them are not there without a proof, and Limit how
	// many of these may be deleted unasked.
	Known, Missing, Limit int
	// Deleted are the objects that are to be deleted, in the order of the question's names: those that are gone for
	// certain, and the missing ones where Status is Compared.
	Deleted []Object
}

// Compare answers a question. Without force the answer holds no more in memory than the guard allows, beside what is
// proven. It fails with the error of the names, and then says nothing else.
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
