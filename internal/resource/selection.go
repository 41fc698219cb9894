package resource

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DefaultOptOut is the annotation by which an object asks not to be sent.
const DefaultOptOut = "vectordb-sync.io/ignore"

// Selection decides which objects are sent, and what of them. Its zero value selects every object, with all
// labels and without annotations. A process has one, of which the index is made; a receiver may have a narrower
// one, through which it sees what the process keeps ([Selection.View]).
type Selection struct {
	// Annotations and Labels decide what is kept.
	Annotations AnnotationFilter
	Labels      LabelFilter
	// Extra are labels that every object gets. They take the place of an object's own label of the same key: a
	// document says which cluster it is of whatever somebody in the cluster has written on the object.
	Extra map[string]string
	// Selector selects objects by their labels, before Labels and Extra are applied; nil selects all.
	Selector labels.Selector
	// OptOut is the annotation by which an object asks not to be sent, with the value "true". Empty ignores
	// such wishes.
	OptOut string
	// OptOutValue is a word that the annotation may hold, perhaps among others separated by commas, to ask
	// the same of the one receiver whose view this is. Empty for none.
	OptOutValue string
	// SkipControlled leaves out objects whose controller is of a type that Types matches.
	SkipControlled bool
	Types          Filter
	// KeepMarks keeps in a record what the view of a receiver asks for beside labels and annotations. It is a
	// part of the digest then, or nobody would be told that an object has come into view or gone out of it:
	// that an object gets another controller, or a word to opt out with, is a change for every receiver.
	KeepMarks bool
}

// Marks are what a narrower [Selection] has to know of an object beyond what is sent.
type Marks struct {
	// Controller is the type of the object that controls this one; the zero Type for none. Its Resource is guessed.
	Controller Type
	// OptOut is the value of [Selection.OptOut].
	OptOut string
}

func (m Marks) hash() uint64 {
	return xxhash.Sum64String(m.Controller.APIVersion() + "\n" + m.Controller.Kind + "\n" + m.OptOut)
}

// ParseSelector parses a label selector as kubectl does. An empty one is nil.
func ParseSelector(text string) (labels.Selector, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil // It selects everything.
	}
	s, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("label selector %q is malformed, want one such as app=web,tier!=test or env in (prod,stage)", text)
	}
	return s, nil
}

// Record extracts from an object's metadata what is kept of it, and tells whether the object is selected. Of
// one that is not, the record has the name and the version alone. It shares no memory with the object.
func (s Selection) Record(o *metav1.ObjectMeta) (r Record, selected bool) {
	m := s.marksOf(o)
	if !s.selects(o.Labels, m) {
		return Record{
			Namespace: strings.Clone(o.Namespace), Name: strings.Clone(o.Name), ResourceVersion: ParseVersion(o.ResourceVersion),
		}, false
	}
	r = newRecord(o, s.Labels.merged(o.Labels, s.Extra), s.Annotations)
	if s.KeepMarks && m != (Marks{}) {
		m.OptOut = strings.Clone(m.OptOut)
		r.Marks = &m
		r.Digest ^= m.hash()
	}
	return r, true
}

func (s Selection) marksOf(o *metav1.ObjectMeta) (m Marks) {
	if s.OptOut != "" {
		m.OptOut = o.Annotations[s.OptOut]
	}
	if !s.SkipControlled && !s.KeepMarks {
		return m
	}
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil {
		m.Controller = typeOfOwner(owner)
	}
	return m
}

// typeOfOwner makes a type of an owner reference, which holds no plural: that is guessed by the rules that
// Kubernetes' own names follow. A filter that names kinds is not misled by a plural that is spelled otherwise.
func typeOfOwner(owner *metav1.OwnerReference) Type {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return Type{}
	}
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(owner.Kind))
	return Type{Group: strings.Clone(gv.Group), Version: strings.Clone(gv.Version), Resource: plural.Resource, Kind: strings.Clone(owner.Kind)}
}

// Exclusion is why an object is not selected.
type Exclusion uint8

// The exclusions, in the order in which they are looked for: the first that holds is told.
const (
	// Selected: it is.
	Selected Exclusion = iota
	// BySelector: its labels do not match [Selection.Selector].
	BySelector
	// ByOptOut: it has the annotation [Selection.OptOut].
	ByOptOut
	// ByController: its controller is watched, and [Selection.SkipControlled] is set.
	ByController
)

// String returns the name of the exclusion as reports have it.
func (e Exclusion) String() string {
	switch e {
	case Selected:
		return "selected"
	case BySelector:
		return "labelSelector"
	case ByOptOut:
		return "optOut"
	case ByController:
		return "controlled"
	default:
		return "exclusion " + strconv.Itoa(int(e))
	}
}

// Excludes tells why an object is not selected, and [Selected] for one that is. It keeps nothing of it.
func (s Selection) Excludes(o *metav1.ObjectMeta) Exclusion {
	return s.excludes(o.Labels, s.marksOf(o))
}

func (s Selection) selects(own map[string]string, m Marks) bool {
	return s.excludes(own, m) == Selected
}

func (s Selection) excludes(own map[string]string, m Marks) Exclusion {
	switch {
	case s.Selector != nil && !s.Selector.Matches(labels.Set(own)):
		return BySelector
	case s.optedOut(m.OptOut):
		return ByOptOut
	case s.SkipControlled && m.Controller != Type{} && s.Types.Match(m.Controller):
		return ByController
	default:
		return Selected
	}
}

// optedOut tells whether an object with that value of the annotation wants to be left out.
func (s Selection) optedOut(value string) bool {
	if value == "" {
		return false
	}
	if all, err := strconv.ParseBool(value); err == nil {
		return all
	}
	if s.OptOutValue == "" {
		return false
	}
	for word := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(word) == s.OptOutValue {
			return true
		}
	}
	return false
}

// Selects tells whether an object is selected, as [Selection.Record] does, and keeps nothing of it.
func (s Selection) Selects(o *metav1.ObjectMeta) bool { return s.selects(o.Labels, s.marksOf(o)) }

// Needs is what [Selection.Selects] looks at.
type Needs struct {
	Labels, Owners bool
	// Annotation is the one annotation that it looks at; empty for none.
	Annotation string
}

// Needs returns what of an object's metadata decides whether it is selected: of one that lacks everything else,
// [Selection.Selects] tells the same.
func (s Selection) Needs() Needs {
	return Needs{Labels: s.Selector != nil, Owners: s.SkipControlled, Annotation: s.OptOut}
}

// MayHaveLeft tells of an object that was changed whether it is not selected now and may have been before. An
// object gets its controller when it is created, most of them, so that a change is no sign that it had none.
func (s Selection) MayHaveLeft(o *metav1.ObjectMeta) bool {
	s.SkipControlled = false
	return !s.selects(o.Labels, s.marksOf(o))
}

// Hides tells whether some objects are not selected at all.
func (s Selection) Hides() bool { return s.Selector != nil || s.SkipControlled || s.OptOutValue != "" }

// ServerSide is the part of the selection that an API server can apply to lists and watches itself, as a
// label selector.
func (s Selection) ServerSide() string {
	if s.Selector == nil {
		return ""
	}
	return s.Selector.String()
}

// String describes the selection as it was configured. What it says is all that decides what becomes of an object.
func (s Selection) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "annotations %s labels %s", s.Annotations, s.Labels)
	for _, key := range slices.Sorted(maps.Keys(s.Extra)) {
		fmt.Fprintf(&b, " extra %s=%s", key, s.Extra[key])
	}
	if s.Selector != nil {
		fmt.Fprintf(&b, " selector %s", s.Selector)
	}
	if s.OptOut != "" {
		fmt.Fprintf(&b, " optOut %s", s.OptOut)
	}
	if s.OptOutValue != "" {
		fmt.Fprintf(&b, " optOutValue %s", s.OptOutValue)
	}
	if s.SkipControlled {
		fmt.Fprintf(&b, " skipControlled by %s", s.Types)
	}
	return b.String()
}
