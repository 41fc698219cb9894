package resource

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// View returns the record for a receiver that has fewer annotations: those that passed the filter of [NewRecord]
// and pass this one as well.
func (f AnnotationFilter) View(r Record) Record {
	seen, _ := Selection{Annotations: f}.View(r)
	return seen
}

// View returns the record for a receiver with a selection of its own. It has the labels and annotations that passed
// the selection of the process and pass this one as well, with its own extra labels. If that changes nothing, it is
// the same record with the same digest. Otherwise body and digest are those of a process with a selection of both.
// View also tells whether the receiver sees the object at all.
func (s Selection) View(r Record) (seen Record, selected bool) {
	seen, why := s.Look(r)
	return seen, why == Selected
}

// Look is View, and also tells why the receiver does not see the object.
func (s Selection) Look(r Record) (seen Record, why Exclusion) {
	p, ok := split(r.Body)
	if !ok {
		return r, Selected // The record has no body, or a malformed one.
	}
	own := (&reader{rest: p.labels}).pairs()
	var m Marks
	if r.Marks != nil {
		m = *r.Marks
	}
	if s.Hides() {
		if why := s.excludes(mapOf(own), m); why != Selected {
			return Record{Namespace: r.Namespace, Name: r.Name, ResourceVersion: r.ResourceVersion}, why
		}
	}
	labels := s.labels(own)
	all := (&reader{rest: p.annotations}).pairs()
	annotations := slices.DeleteFunc(slices.Clone(all), func(pair [2]string) bool { return !s.Annotations.Match(pair[0]) })
	if len(annotations) == len(all) && slices.Equal(labels, own) {
		return r, Selected
	}
	buf := make([]byte, 0, len(r.Body))
	buf = append(buf, p.head...)
	buf = appendPairs(appendPairs(buf, labels), annotations)
	whole := string(r.Body[:len(r.Body)-len(p.tail)])
	r.Digest ^= xxhash.Sum64String(whole) ^ xxhash.Sum64(buf) // The part of the UID stays.
	r.Body = Body(append(buf, p.tail...))
	return r, Selected
}

// labels returns the labels that the selection lets through, with its own, in the order of their keys.
func (s Selection) labels(own [][2]string) [][2]string {
	kept := slices.DeleteFunc(slices.Clone(own), func(pair [2]string) bool {
		_, replaced := s.Extra[pair[0]]
		return replaced || !s.Labels.Match(pair[0])
	})
	for key, value := range s.Extra {
		kept = append(kept, [2]string{key, value})
	}
	slices.SortFunc(kept, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return kept
}

func mapOf(pairs [][2]string) map[string]string {
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		m[pair[0]] = pair[1]
	}
	return m
}

func appendPairs(buf []byte, pairs [][2]string) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(pairs)))
	for _, pair := range pairs {
		buf = appendString(appendString(buf, pair[0]), pair[1])
	}
	return buf
}

// parts are the pieces of a body: before its labels, its labels, its annotations, and after these.
type parts struct{ head, labels, annotations, tail string }

// split finds labels and annotations; ok is false in a body that is empty or malformed.
func split(b Body) (p parts, ok bool) {
	r := reader{rest: string(b)}
	rest := func() int { return len(b) - len(r.rest) }
	r.varint()
	head := rest()
	r.pairs()
	middle := rest()
	r.pairs()
	end := rest()
	r.varint()
	if b == "" || r.failed || r.rest != "" {
		return parts{}, false
	}
	return parts{head: string(b[:head]), labels: string(b[head:middle]), annotations: string(b[middle:end]), tail: string(b[end:])}, true
}

// pairs reads a map in its order, without making one.
func (r *reader) pairs() [][2]string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) { // as in pass
		r.failed, r.rest = true, ""
		return nil
	}
	pairs := make([][2]string, 0, n)
	for range n {
		k := r.string()
		pairs = append(pairs, [2]string{k, r.string()})
	}
	return pairs
}
