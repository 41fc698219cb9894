package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// contract is the part of a format in which the receivers' answers differ.
type contract interface {
	// confirm judges a 2xx: Delivered, or the kind and the reason why it does not confirm the request.
	confirm(r Response, sent Sent) (kind Kind, fault string)
	// badRequest judges a 400 and sets Kind, Reason and the items.
	badRequest(o *Outcome, r Response, sent Sent)
	// serverError judges a 500 and sets Kind and Reason.
	serverError(o *Outcome, r Response)
}

func classify(c contract, r Response, sent Sent) Outcome {
	r.Body = r.Body[:min(len(r.Body), MaxResponseBytes)]
	o := Outcome{Status: r.Status}
	switch s := r.Status; {
	case s >= 200 && s < 300:
		o.Kind, o.Reason = c.confirm(r, sent)
	case s == 400:
		c.badRequest(&o, r, sent)
	case s == 401, s == 403, s == 407:
		// The reason leaves out the answer's own text, because some servers repeat the credential in it.
		o.Kind, o.Reason = Unauthorized, "the credential was not accepted"
	case s == 408, s == 425, s == 429:
		o.Kind, o.Reason = Retry, answerText(r)
	case s == 413:
		o.Kind, o.Reason = TooLarge, "the body is too long for the receiver or a proxy before it"
	case s == 422 && isJSON(r.ContentType):
		o.Kind, o.Reason = Unprocessable, answerText(r)
	case s == 500:
		c.serverError(&o, r)
	case s == 502, s == 503:
		// A proxy answers so for a connection that was reset, even after the receiver has read the request.
		o.Kind, o.Reason = Unknown, answerText(r)
	case s == 504:
		o.Kind, o.TimedOut, o.Reason = Unknown, true, "a gateway gave up waiting for the receiver"
	case s > 500 && s < 600:
		o.Kind, o.Reason = Retry, answerText(r)
	default:
		o.Kind, o.Reason = WrongEndpoint, "no receiver answers with this status: "+excerpt(r)
	}
	if sent.Len() == 0 && o.Kind.ReceiverUp() && o.Kind != Delivered {
		o.Kind = WrongEndpoint // A probe has no item that could be at fault.
	}
	switch o.Kind {
	case Retry, ServerError, Partial, Unknown:
		o.RetryAfter = max(o.RetryAfter, retryAfter(r.RetryAfter, r.Now))
	default:
		o.RetryAfter = 0
	}
	if o.Kind != Delivered {
		o.Reason = Reason(fmt.Sprintf("HTTP %d: %s", r.Status, o.Reason))
	}
	return o
}

// compareCounts compares the counts of an answer with those of the request. A receiver that has taken nothing did
// not understand the body; one whose counts differ otherwise may have stumbled over one item.
func compareCounts(upserted, deleted int, sent Sent) (Kind, string) {
	if upserted == len(sent.Upserts) && deleted == len(sent.Deletes) {
		return Delivered, ""
	}
	kind := Miscounted
	if len(sent.Upserts) > 0 && upserted == 0 || len(sent.Deletes) > 0 && deleted == 0 {
		kind = WrongEndpoint
	}
	return kind, fmt.Sprintf("the receiver counts %d upserts and %d deletes, sent were %d and %d",
		upserted, deleted, len(sent.Upserts), len(sent.Deletes))
}

// faults collects the faults of single items in an answer: the first reason for each item.
type faults struct {
	array   string
	n       int
	reasons map[int]string
}

func newFaults(sent Sent) *faults {
	f := &faults{array: "upserts", n: sent.Len(), reasons: map[int]string{}}
	if len(sent.Deletes) > 0 {
		f.array = "deletes"
	}
	return f
}

// add takes a fault of a field of array[index], unless no item was sent there. The field is empty when the whole
// item is at fault.
func (f *faults) add(array string, index int, field, reason string) {
	if array != f.array {
		return
	}
	if field != "" {
		reason = field + ": " + reason
	}
	f.put(index, reason)
}

func (f *faults) put(index int, reason string) {
	if index < 0 || index >= f.n {
		return
	}
	if _, known := f.reasons[index]; !known {
		f.reasons[index] = Reason(reason)
	}
}

func (f *faults) sorted() []ItemError {
	out := make([]ItemError, 0, len(f.reasons))
	for _, i := range slices.Sorted(maps.Keys(f.reasons)) {
		out = append(out, ItemError{Index: i, Reason: f.reasons[i]})
	}
	return out
}

// refuse makes o a refusal of the items found, if there are any.
func (f *faults) refuse(o *Outcome) {
	if len(f.reasons) == 0 {
		return
	}
	o.Kind, o.Bad = Refused, f.sorted()
	o.Reason = fmt.Sprintf("%d of %d items refused, the first for %s", len(o.Bad), f.n, o.Bad[0].Reason)
}

// retryAfterCap bounds the pause that a header can ask for, so that no arithmetic on it overflows. The breaker
// caps it much lower.
const retryAfterCap = 24 * time.Hour

// retryAfter reads the header of that name: seconds, or a date in one of the three spellings of RFC 9110. A value
// in the past, or an unreadable one, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' }) < 0 {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(retryAfterCap/time.Second) {
			return retryAfterCap
		}
		return time.Duration(seconds) * time.Second
	}
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, value); err == nil {
			return max(0, min(t.Sub(now), retryAfterCap))
		}
	}
	return 0
}

// isJSON tells whether a Content-Type is JSON.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// answerText returns the error that an answer names, {"error":"..."} or {"error":{"code":"...","message":"..."}},
// or else an excerpt of its body.
func answerText(r Response) string {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(r.Body, &answer) != nil {
		return excerpt(r)
	}
	var text string
	if json.Unmarshal(answer.Error, &text) == nil && text != "" {
		return text
	}
	var coded struct{ Code, Message string }
	if json.Unmarshal(answer.Error, &coded) == nil && coded.Code != "" {
		return strings.TrimSuffix(coded.Code+": "+coded.Message, ": ")
	}
	return excerpt(r)
}

// excerpt returns the beginning of an answer's body, or the kind of the body when it is not for reading.
func excerpt(r Response) string {
	media, _, _ := strings.Cut(strings.ToLower(r.ContentType), ";")
	switch media = strings.TrimSpace(media); {
	case len(r.Body) == 0:
		return "empty body"
	case media == "text/plain" || isJSON(r.ContentType):
		return string(r.Body[:min(len(r.Body), MaxReasonBytes)])
	default:
		return "body of type " + cmp.Or(media, "unknown")
	}
}

// Reason makes s fit for a line of a log: valid UTF-8, printable, at most [MaxReasonBytes] bytes.
func Reason(s string) string {
	if len(s) > 4*MaxReasonBytes {
		s = s[:4*MaxReasonBytes] // The rest could not survive; do not walk through 64 KiB of it.
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= MaxReasonBytes {
		return s
	}
	end := MaxReasonBytes - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
