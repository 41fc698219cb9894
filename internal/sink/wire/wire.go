package wire

import (
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Item is one upsert: an object in the state that is sent.
type Item struct {
	// ID is the identity of the document. It equals Type.ID(Namespace, Name).
	ID resource.ID
	// Type is the object's type; its API version and kind are sent.
	Type resource.Type
	// Namespace is empty for a cluster-scoped object and sent as [resource.ClusterNamespace] then.
	Namespace string
	// Name is the object's name.
	Name string
	// Body holds labels, annotations and times. An empty Body is sent as an object without any.
	Body resource.Body
}

// Format is the contract of one receiver. Its methods are pure and safe for concurrent use. A body holds upserts
// or deletes and never both. The caller must put an ID into a body only once; a second one is an error.
type Format interface {
	// Name is the receiver's name in ENDPOINT_FORMAT: cluster-whisperer or dot-ai.
	Name() string
	// EncodeUpserts writes a body. The caller owns the result. An error that is the fault of one item is an
	// [ItemError], which says which.
	EncodeUpserts(items []Item) ([]byte, error)
	// EncodeDeletes writes a body. The caller owns the result. An error that is the fault of one ID is an
	// [ItemError], which says which.
	EncodeDeletes(ids []resource.ID) ([]byte, error)
	// UpsertSize is the number of bytes that i takes in a body, its comma included. It is exact:
	//
	//	Overhead() + UpsertSize(i) of all items == len(EncodeUpserts(items)) for one item or more
	//
	// An item that EncodeUpserts refuses has some size as well.
	UpsertSize(i Item) int
	// Overhead is the number of bytes in a body beside its items, one comma less because the last item has none.
	Overhead() int
	// Defaults are the timings and sizes that suit the receiver.
	Defaults() Defaults
	// Classify makes an Outcome of an answer. It never fails: an unknown answer is [Unprocessable] or
	// [WrongEndpoint]. The caller fills Took and Bytes of the result.
	Classify(r Response, sent Sent) Outcome
}

// Defaults are the settings with which a receiver was measured to work best. The implementations give the
// reasons.
type Defaults struct {
	// Timeout bounds one request, from dialling to the last byte of the answer.
	Timeout time.Duration
	// Settle is how long after a request of [Unknown] outcome the receiver may still apply it. After that, the last
	// word on its items is repeated.
	Settle time.Duration
	// MaxInFlight bounds the requests at the receiver, of all members together.
	MaxInFlight int
	// MaxUpserts bounds the upserts in one body.
	MaxUpserts int
	// MaxDeletes bounds the deletes in one body.
	MaxDeletes int
	// MaxBytes bounds the length of one body.
	MaxBytes int
}

// MaxResponseBytes is the part of an answer that is read, in bytes. The largest honest answer is a refusal that
// lists the faults of a hundred items at about 110 bytes each.
const MaxResponseBytes = 64 << 10

// Response is the part of an answer that Classify needs.
type Response struct {
	// Status is the HTTP status.
	Status int
	// ContentType is the header of that name, with parameters.
	ContentType string
	// RetryAfter is the header of that name: seconds or a date, or empty.
	RetryAfter string
	// Body is the body, at most [MaxResponseBytes] of it. Classify does not keep it.
	Body []byte
	// Now is the wall clock, for a RetryAfter that is a date.
	Now time.Time
}

// Sent is the request to which an answer belongs. At most one of Upserts and Deletes is non-empty; with neither
// it was a probe.
type Sent struct {
	// Upserts are the items in the order of the body.
	Upserts []Item
	// Deletes are the IDs in the order of the body.
	Deletes []resource.ID
	// Bytes is the length of the body, 0 when it is not known.
	Bytes int
}

// Len is the number of items sent.
func (s Sent) Len() int { return len(s.Upserts) + len(s.Deletes) }

// ItemError says that one item of a body was at fault.
type ItemError struct {
	// Index is the item's position in the request.
	Index int
	// Reason says what the fault was, in at most [MaxReasonBytes] printable bytes.
	Reason string
}

// Error implements error.
func (e ItemError) Error() string { return fmt.Sprintf("item %d: %s", e.Index, e.Reason) }

// Formats lists the formats that [FormatOf] knows.
func Formats() []Format { return []Format{ClusterWhisperer(), DotAI()} }

// FormatOf returns the format with that name.
func FormatOf(name string) (Format, error) {
	for _, f := range Formats() {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("unknown endpoint format %q, want cluster-whisperer or dot-ai", name)
}
