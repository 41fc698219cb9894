package resource

import (
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"time"
)

// errBody says that [NewRecord] did not make a Body. Bodies never leave the process, so this is a bug here.
var errBody = errors.New("malformed packed body")

// Packed is a [Content] without maps: its labels and annotations are read in place, in the order of their keys. So
// unpacking a body costs no memory, which counts where each body is written once and forgotten.
type Packed struct {
	Labels, Annotations  Pairs
	CreatedAt, UpdatedAt time.Time
}

// Pairs are keys with their values, each key once, sorted by key. The zero value has none.
type Pairs struct{ packed string }

// Unpack takes the body apart.
func (b Body) Unpack() (Packed, error) {
	if b == "" {
		return Packed{}, nil
	}
	r := reader{rest: string(b)}
	var p Packed
	p.CreatedAt = fromUnix(r.varint())
	p.Labels = r.pass()
	p.Annotations = r.pass()
	p.UpdatedAt = fromUnix(r.varint())
	if r.failed || r.rest != "" {
		return Packed{}, errBody
	}
	return p, nil
}

// All yields the pairs.
func (p Pairs) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for r := (reader{rest: p.packed}); r.rest != ""; {
			key := r.string()
			if !yield(key, r.string()) {
				return
			}
		}
	}
}

// toMap is nil when there are no pairs.
func (p Pairs) toMap() map[string]string {
	if p.packed == "" {
		return nil
	}
	return maps.Collect(p.All())
}

func fromUnix(s int64) time.Time { return time.Unix(s, 0).UTC() }

// reader takes a packed body apart. After the first mistake it returns zero values and failed stays true.
type reader struct {
	rest   string
	failed bool
}

// prefix returns the bytes at which a varint may stand.
func (r *reader) prefix() []byte { return []byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]) }

func (r *reader) advance(n int) bool {
	if n <= 0 || n > len(r.rest) {
		r.failed, r.rest = true, ""
		return false
	}
	r.rest = r.rest[n:]
	return true
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.prefix())
	if !r.advance(n) {
		return 0
	}
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.prefix())
	if !r.advance(n) {
		return 0
	}
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// pass passes over all pairs of a map, and returns them as they are packed.
func (r *reader) pass() Pairs {
	n, begin := r.uvarint(), r.rest
	if n > uint64(len(r.rest)) { // each pair takes two bytes at least; this bounds the loop
		r.failed, r.rest = true, ""
	}
	for ; n > 0 && !r.failed; n-- {
		_, _ = r.string(), r.string()
	}
	return Pairs{begin[:len(begin)-len(r.rest)]}
}
