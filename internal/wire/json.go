package wire

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// writer appends JSON to a buffer. It is written by hand because encoding an object is what the process does most, and
// because encoding/json can neither write ASCII only nor leave < and > alone at the same time.
type writer struct {
	buf []byte
	// ascii escapes everything beyond ASCII as \uXXXX.
	ascii bool
}

func (w *writer) raw(s string) { w.buf = append(w.buf, s...) }

// quoted appends a string.
func (w *writer) quoted(s string) {
	w.buf = append(w.buf, '"')
	w.escaped(s)
	w.buf = append(w.buf, '"')
}

const hex = "0123456789abcdef"

// escaped appends the inside of a string. Bytes that are no UTF-8 become U+FFFD, so the result is always valid JSON.
func (w *writer) escaped(s string) {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			w.raw(s[start:i])
			w.control(c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && n == 1
		if w.ascii || invalid {
			w.raw(s[start:i])
			w.rune(r)
			start = i + n
		}
		i += n
	}
	w.raw(s[start:])
}

// control appends an ASCII character that may not stand in a string as it is.
func (w *writer) control(c byte) {
	switch c {
	case '"', '\\':
		w.buf = append(w.buf, '\\', c)
	case '\n':
		w.raw(`\n`)
	case '\r':
		w.raw(`\r`)
	case '\t':
		w.raw(`\t`)
	default:
		w.unit(uint16(c))
	}
}

// rune appends a character beyond ASCII, as one escape or, beyond the basic plane, as the two of its surrogates.
func (w *writer) rune(r rune) {
	if !w.ascii {
		w.buf = utf8.AppendRune(w.buf, r)
		return
	}
	if r < 0x10000 {
		w.unit(uint16(r))
		return
	}
	r -= 0x10000
	w.unit(0xd800 | uint16(r>>10))
	w.unit(0xdc00 | uint16(r&0x3ff))
}

func (w *writer) unit(u uint16) {
	w.buf = append(w.buf, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// stringMap appends an object with its keys sorted, {} for a nil map.
func (w *writer) stringMap(m map[string]string) {
	var few [16]string // most objects have fewer labels than this, and then sorting allocates nothing
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w.buf = append(w.buf, '{')
	for i, k := range keys {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.quoted(k)
		w.buf = append(w.buf, ':')
		w.quoted(m[k])
	}
	w.buf = append(w.buf, '}')
}

// time appends a time in whole seconds. cluster-whisperer refuses a year of five digits, so a time that RFC 3339
// cannot write is written as no time at all, the way Kubernetes does.
func (w *writer) time(t time.Time) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		t = time.Time{}
	}
	w.buf = append(w.buf, '"')
	w.buf = t.AppendFormat(w.buf, "2006-01-02T15:04:05Z")
	w.buf = append(w.buf, '"')
}

// apiVersion appends the API version of t as a string.
func (w *writer) apiVersion(t resource.Type) {
	w.buf = append(w.buf, '"')
	if t.Group != "" {
		w.escaped(t.Group)
		w.buf = append(w.buf, '/')
	}
	w.escaped(t.Version)
	w.buf = append(w.buf, '"')
}

// namespaceOf is the namespace as receivers know it.
func namespaceOf(i *Item) string {
	if !i.Type.Namespaced || i.Namespace == "" {
		return resource.ClusterNamespace
	}
	return i.Namespace
}
