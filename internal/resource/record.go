package resource

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/cespare/xxhash/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Record is one observed state of one object.
type Record struct {
	// Namespace is empty for a cluster-scoped object.
	Namespace string
	// Name is the object's name.
	Name string
	// Digest is the xxhash64 of the content to send, XORed with that of the UID: two states with one digest are the
	// same document. It leaves UpdatedAt out, or a change of the spec would look like a change of the document.
	Digest uint64
	// ResourceVersion is the version of this state, 0 when the server's is not a number. Versions compare within one
	// type only (KEP-5504).
	ResourceVersion uint64
	// Body is the content to send, packed. It is empty where only the identity matters.
	Body Body
	// Marks are the facts that a receiver's own [Selection] needs; nil where there are none, or no receiver needs any.
	Marks *Marks
}

// Body is the content of a receiver's document beyond its identity, packed into one string. That takes about a
// third of the memory of two maps. It is immutable, and all targets share it. Its zero value unpacks to the zero
// [Content].
type Body string

// Content is an unpacked [Body].
type Content struct {
	// Labels are those that passed the [LabelFilter] and the extra ones, nil when there are none.
	Labels map[string]string
	// Annotations are those that passed the [AnnotationFilter], nil when none did.
	Annotations map[string]string
	// CreatedAt is the object's creation time, in UTC and whole seconds.
	CreatedAt time.Time
	// UpdatedAt is when a manager of labels or annotations last wrote, in UTC and whole seconds; see [NewRecord].
	UpdatedAt time.Time
}

// NewRecord makes the record of an object's metadata, with all labels. The result shares no memory with the object,
// so neither pins the other.
//
// UpdatedAt is the newest time in managedFields at which a manager of labels or annotations wrote, or the creation
// time where there is none. It depends on the object alone, so every replica computes the same one, before and
// after any restart. dot-ai embeds each document again that has a new UpdatedAt.
func NewRecord(o *metav1.ObjectMeta, keep AnnotationFilter) Record {
	return newRecord(o, o.Labels, keep)
}

// newRecord is NewRecord with other labels than the object's.
func newRecord(o *metav1.ObjectMeta, labels map[string]string, keep AnnotationFilter) Record {
	created := unixSeconds(o.CreationTimestamp.Time)
	buf := make([]byte, 0, 256)
	buf = binary.AppendVarint(buf, created)
	buf = appendMap(buf, labels, func(string) bool { return true }, func(v string) string { return v })
	buf = appendMap(buf, o.Annotations, keep.Match, keep.Cut)

	digest := xxhash.Sum64(buf) ^ xxhash.Sum64String(string(o.UID))

	buf = binary.AppendVarint(buf, max(updatedAt(o.ManagedFields), created))
	return Record{
		Namespace:       unique.Make(o.Namespace).Value(), // one string for all objects of the namespace
		Name:            strings.Clone(o.Name),
		Digest:          digest,
		ResourceVersion: ParseVersion(o.ResourceVersion),
		Body:            Body(buf),
	}
}

// ParseVersion returns a resourceVersion as a number, and 0 for one that is none. Kubernetes promises comparable
// integers since KEP-5504, but an aggregated API may answer with other texts.
func ParseVersion(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// Content unpacks the body into maps.
func (b Body) Content() (Content, error) {
	p, err := b.Unpack()
	if err != nil {
		return Content{}, err
	}
	return Content{p.Labels.toMap(), p.Annotations.toMap(), p.CreatedAt, p.UpdatedAt}, nil
}

// zeroTime is the Unix time of Go's zero time, which is how Kubernetes spells "no creation time".
var zeroTime = time.Time{}.Unix()

func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return zeroTime
	}
	return t.Unix()
}

// updatedAt finds the newest write of a manager of labels or annotations. It leaves out entries of a subresource
// (status, scale), whose writers cannot touch either. It searches the field set instead of parsing it, which would
// cost more than all the rest. So managers of a pod template's labels count too, and make the time newer than it
// need be.
func updatedAt(fields []metav1.ManagedFieldsEntry) int64 {
	newest := zeroTime
	for i := range fields {
		f := &fields[i]
		if f.Time == nil || f.FieldsV1 == nil || f.Subresource != "" {
			continue
		}
		if WritesMetadata(f.FieldsV1.GetRawBytes()) {
			newest = max(newest, unixSeconds(f.Time.Time))
		}
	}
	return newest
}

// WritesMetadata tells whether a set of fields, as managedFields have it, may hold labels or annotations.
func WritesMetadata(fields []byte) bool {
	return bytes.Contains(fields, []byte(`"f:labels"`)) || bytes.Contains(fields, []byte(`"f:annotations"`))
}

func appendMap(buf []byte, m map[string]string, keep func(string) bool, cut func(string) string) []byte {
	var few [16]string // most objects have fewer labels, and then sorting allocates nothing
	keys := few[:0]
	for k := range m {
		if keep(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	buf = binary.AppendUvarint(buf, uint64(len(keys)))
	for _, k := range keys {
		buf = appendString(buf, k)
		buf = appendString(buf, cut(m[k]))
	}
	return buf
}

func appendString(buf []byte, s string) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(s)))
	return append(buf, s...)
}
