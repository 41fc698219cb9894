package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// payload is the content of a body of any contract. Of its documents only Hash and the fields in the body are set.
type payload struct {
	upserts []Document
	deletes []string
	resync  bool
	// surrogates marks upserts, and lone deletes, that hold half of a UTF-16 pair, which JavaScript can carry and its
	// databases cannot.
	upsertSurrogate map[int]bool
	deleteSurrogate bool
}

// contract is the part of a receiver that differs between endpoints. Its methods but apply are pure.
type contract interface {
	// kind is the kind of the record.
	kind() string
	// precheck returns an answer that needs no body, or nil to go on.
	precheck(r *http.Request) *answer
	// parse reads the body. When it returns an answer, nothing is applied.
	parse(r *http.Request, body []byte) (payload, *answer)
	// refuse answers for items that a fault makes unacceptable.
	refuse(how string, upserts, deletes []int) answer
	// apply does the work. It does not learn that the client has left.
	apply(a *application) answer
}

// answer is a response before it is written. The zero value closes the connection without a response.
type answer struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
}

// message is the text of an error that a record keeps.
func (a answer) message() string {
	if a.status < 400 {
		return ""
	}
	return strings.ToValidUTF8(string(a.body[:min(len(a.body), 200)]), "")
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil { // only plain structs and maps of this package come here
		return textAnswer(http.StatusInternalServerError, fmt.Sprintf("encoding answer: %v", err))
	}
	return answer{status: status, contentType: "application/json", body: body}
}

func textAnswer(status int, text string) answer {
	return answer{status: status, contentType: "text/plain; charset=UTF-8", body: []byte(text)}
}

func (a answer) write(w http.ResponseWriter) {
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have left, and then the record says so
}

// object is a JSON object whose keys are compared as JavaScript does: by case, and the last of two wins.
type object map[string]json.RawMessage

// typeOf names the type of a JSON value as JavaScript's validators do.
func typeOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "undefined"
	}
	switch raw[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// missing tells whether a value is absent or null.
func missing(raw json.RawMessage) bool { t := typeOf(raw); return t == "undefined" || t == "null" }

// decode reads a value that is known to be valid JSON of a fitting type.
func decode[T any](raw json.RawMessage) T {
	var v T
	_ = json.Unmarshal(raw, &v) // cannot fail: the caller has checked typeOf, and the body was valid
	return v
}

// loneSurrogate finds an escape of half a UTF-16 pair in a JSON text.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] != 'u' {
			i++ // an escaped backslash hides the character after it
			continue
		}
		switch unit := hex4(raw[i+2:]); {
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			rest := raw[min(i+6, len(raw)):]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
				return true
			}
			if low := hex4(rest[2:]); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

// hex4 reads four hexadecimal digits, and returns -1 when there are none.
func hex4(b []byte) int {
	if len(b) < 4 {
		return -1
	}
	v := 0
	for _, c := range b[:4] {
		v <<= 4
		switch {
		case c >= '0' && c <= '9':
			v |= int(c - '0')
		case c >= 'a' && c <= 'f':
			v |= int(c-'a') + 10
		case c >= 'A' && c <= 'F':
			v |= int(c-'A') + 10
		default:
			return -1
		}
	}
	return v
}
