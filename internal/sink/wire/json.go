package wire

import (
	"time"
	"unicode/utf8"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// JSON is written by hand because the process spends most of its work on encoding objects, and because
// encoding/json cannot write ASCII only. The functions append to dst and return it, like those of package
// strconv. With ascii, all characters beyond ASCII are escaped.

// appendString appends a string in its quotes.
func appendString(dst []byte, s string, ascii bool) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s, ascii)
	return append(dst, '"')
}

// appendField appends `,"name":"value"`. The first field of an object is written without it.
func appendField(dst []byte, name, value string, ascii bool) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, value, ascii)
}

// appendEscaped appends the inside of a string. Bytes that are no UTF-8 become U+FFFD, so the result is always
// valid.
func appendEscaped(dst []byte, s string, ascii bool) []byte {
	start := 0 // start of the bytes that may be copied as they are
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' {
				dst = append(dst, s[start:i]...)
				dst = appendControl(dst, c)
				start = i + 1
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if ascii || (r == utf8.RuneError && n == 1) {
			dst = append(dst, s[start:i]...)
			dst = appendRune(dst, r, ascii)
			start = i + n
		}
		i += n
	}
	return append(dst, s[start:]...)
}

// appendControl appends an ASCII character that must be escaped in a string.
func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return appendUnit(dst, uint16(c))
	}
}

// appendRune appends a character beyond ASCII: unchanged, as one escape or, beyond the basic plane, as the two
// escapes of its surrogates.
func appendRune(dst []byte, r rune, ascii bool) []byte {
	if !ascii {
		return utf8.AppendRune(dst, r)
	}
	if r < 0x10000 {
		return appendUnit(dst, uint16(r))
	}
	r -= 0x10000
	dst = appendUnit(dst, 0xd800|uint16(r>>10))
	return appendUnit(dst, 0xdc00|uint16(r&0x3ff))
}

// appendUnit appends the escape of one UTF-16 code unit.
func appendUnit(dst []byte, u uint16) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// appendPairs appends `,"name":{...}` in the order of the keys, {} for none.
func appendPairs(dst []byte, name string, pairs resource.Pairs, ascii bool) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':', '{')
	first := true
	for k, v := range pairs.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, k, ascii)
		dst = append(dst, ':')
		dst = appendString(dst, v, ascii)
	}
	return append(dst, '}')
}

// appendTime appends `,"name":"time"` in whole seconds. cluster-whisperer refuses a year of five digits. So a
// time that RFC 3339 cannot write is written as no time at all, the way Kubernetes does.
func appendTime(dst []byte, name string, t time.Time) []byte {
	if t.Year() < 1 || t.Year() > 9999 {
		t = time.Time{}
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':', '"')
	dst = t.AppendFormat(dst, "2006-01-02T15:04:05Z")
	return append(dst, '"')
}

// appendAPIVersion appends `,"apiVersion":"group/version"` without joining the two first.
func appendAPIVersion(dst []byte, t resource.Type, ascii bool) []byte {
	dst = append(dst, `,"apiVersion":"`...)
	if t.Group != "" {
		dst = appendEscaped(dst, t.Group, ascii)
		dst = append(dst, '/')
	}
	dst = appendEscaped(dst, t.Version, ascii)
	return append(dst, '"')
}

// namespaceOf returns the namespace as receivers know it.
func namespaceOf(i *Item) string {
	if !i.Type.Namespaced || i.Namespace == "" {
		return resource.ClusterNamespace
	}
	return i.Namespace
}
