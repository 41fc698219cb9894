package resource

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// View returns the record as a receiver sees it that is to have fewer annotations: those that passed the filter of
// [NewRecord] and pass this one as well. A record of which nothing is left out is returned as it is, with its digest.
// Otherwise body and digest are those that NewRecord makes with a filter that keeps what both keep.
func (f AnnotationFilter) View(r Record) Record {
	p, ok := split(r.Body)
	if !ok {
		return r // It has no body, or none of ours.
	}
	all := (&reader{rest: p.annotations}).pairs()
	kept := slices.DeleteFunc(slices.Clone(all), func(pair [2]string) bool { return !f.Match(pair[0]) })
	if len(kept) == len(all) {
		return r
	}
	buf := make([]byte, 0, len(r.Body))
	buf = append(buf, p.head...)
	buf = binary.AppendUvarint(buf, uint64(len(kept)))
	for _, pair := range kept {
		buf = appendString(appendString(buf, pair[0]), pair[1])
	}
	whole := string(r.Body[:len(r.Body)-len(p.tail)])
	r.Digest ^= xxhash.Sum64String(whole) ^ xxhash.Sum64(buf) // What is left of it is that of the UID, which stays.
	r.Body = Body(append(buf, p.tail...))
	return r
}

// parts are where a body is cut: before its annotations and after them.
type parts struct{ head, annotations, tail string }

// split finds the annotations; ok is false in a body that is empty or malformed.
func split(b Body) (p parts, ok bool) {
	r := reader{rest: string(b)}
	rest := func() int { return len(b) - len(r.rest) }
	r.varint()
	r.pairs()
	begin := rest()
	r.pairs()
	end := rest()
	r.varint()
	if b == "" || r.failed || r.rest != "" {
		return parts{}, false
	}
	return parts{head: string(b[:begin]), annotations: string(b[begin:end]), tail: string(b[end:])}, true
}

// pairs reads a map in its order, without making one.
func (r *reader) pairs() [][2]string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) { // as in stringMap
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
