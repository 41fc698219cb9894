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

// Selection decides which objects are sent, and which parts of them. Its zero value selects every object, with all
// labels and without annotations. A process has one, of which the index is made. A receiver may have a narrower
// one, through which it sees the objects that the process keeps ([Selection.View]).
type Selection struct {
	// Annotations and Labels decide which of them are kept.
	Annotations AnnotationFilter
	Labels      LabelFilter
	// Extra are labels that every object gets. They replace an object's own label of the same key. So a document names
	// its cluster, whatever labels a user of the cluster has given the object.
	Extra map[string]string
	// Selector selects objects by their labels, before Labels and Extra are applied; nil selects all.
	Selector labels.Selector
	// OptOut is the annotation by which an object asks not to be sent, with the value "true". If it is empty, such
	// wishes are ignored.
	OptOut string
	// OptOutValue is a word that the annotation may hold, perhaps among others separated by commas. It asks the same
	// of the one receiver whose view this is. Empty for none.
	OptOutValue string
	// SkipControlled leaves out objects whose controller is of a type that Types matches.
	SkipControlled bool
	Types          Filter
	// KeepMarks keeps the facts in a record that the views of receivers need beside labels and annotations. They are a
	// part of the digest then, or no receiver would learn that an object has come into its view or left it. So a new
	// controller, or a new word to opt out with, is a change for every receiver.
	KeepMarks bool
}

// Marks are the facts of an object that a narrower [Selection] needs beyond the content to send.
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
		return nil, nil // An empty selector selects everything.
	}
	s, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("label selector %q is malformed, want one such as app=web,tier!=test or env in (prod,stage)", text)
	}
	return s, nil
}

// Record makes the record of an object's metadata, and tells whether the object is selected. The record of an
// object that is not has the name and the version alone. It shares no memory with the object.
func (s Selection) Record(o *metav1.ObjectMeta) (r Record, selected bool) {
	m := s.marksOf(o)
	if !s.selects(o.Labels, m) {
		return Record{
			Namespace: strings.Clone(o.Namespace), Name: strings.Clone(o.Name), ResourceVersion: ParseVersion(o.ResourceVersion),
		}, false
	}
	r = newRecord(o, s.Labels.merged(o.Labels, s.Extra), s.Annotations)
	if s.KeepMarks && m != (Marks{}) {
		kept := m // a variable of its own: &m would put the marks of every object on the heap
		kept.OptOut = strings.Clone(m.OptOut)
		r.Marks = &kept
		r.Digest ^= kept.hash()
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

// typeOfOwner makes a type of an owner reference. The reference holds no plural, which is guessed by the rules of
// Kubernetes' own names. A filter that names kinds is not misled by a plural with another spelling.
func typeOfOwner(owner *metav1.OwnerReference) Type {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return Type{}
	}
	plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(owner.Kind))
	return Type{Group: strings.Clone(gv.Group), Version: strings.Clone(gv.Version), Resource: plural.Resource, Kind: strings.Clone(owner.Kind)}
}

// Exclusion is the reason why an object is not selected.
type Exclusion uint8

// The exclusions stand in the order in which they are checked; the first that holds counts.
const (
	// Selected: the object is selected.
	Selected Exclusion = iota
	// BySelector: the object's labels do not match [Selection.Selector].
	BySelector
	// ByOptOut: the object has the annotation [Selection.OptOut].
	ByOptOut
	// ByController: the object's controller is watched, and [Selection.SkipControlled] is set.
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

// Excludes tells why an object is not selected, and [Selected] for one that is. It makes no record.
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

// Selects tells whether an object is selected, as [Selection.Record] does, and makes no record.
func (s Selection) Selects(o *metav1.ObjectMeta) bool { return s.selects(o.Labels, s.marksOf(o)) }

// Needs names the parts of an object that [Selection.Selects] looks at.
type Needs struct {
	Labels, Owners bool
	// Annotation is the only annotation that it looks at; empty for none.
	Annotation string
}

// Needs returns the parts of an object's metadata that decide whether it is selected. For an object without all
// other parts, the answer of [Selection.Selects] is the same.
func (s Selection) Needs() Needs {
	return Needs{Labels: s.Selector != nil, Owners: s.SkipControlled, Annotation: s.OptOut}
}

// MayHaveLeft tells whether a changed object is not selected and may have been before. Most objects get their
// controller when they are created. So a controller in a changed object is no sign that it had none before.
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

// String describes the selection as it was configured. Equal texts mean equal decisions about every object.
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
