package receiver

import (
	"time"
)

// Kinds of recorded requests.
const (
	KindInstances    = "instances"    // POST /api/v1/instances/sync
	KindResources    = "resources"    // POST /api/v1/resources/sync
	KindCapabilities = "capabilities" // POST /api/v1/capabilities/scan
	KindList         = "list"         // dot-ai's listing endpoints
	KindHealth       = "health"       // /healthz and /readyz
)

// SenderHeader names the member that sent a request; the receiver only records it.
const SenderHeader = "X-Vectordb-Sync-Member"

// Upsert is one upsert of a recorded request.
type Upsert struct {
	ID string `json:"id"`
	// Hash is the hash of the content that was sent; see [Document].
	Hash Hash `json:"hash"`
	// Written tells that the store took it.
	Written bool `json:"written,omitempty"`
	// Unchanged tells that the store already held the same content when it was written.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Monotonic holds the times of a [Record] on the monotonic clock, since the receiver's start.
type Monotonic struct {
	BeginAt   time.Duration `json:"beginAt"`
	AppliedAt time.Duration `json:"appliedAt,omitempty"`
	EndAt     time.Duration `json:"endAt,omitempty"`
}

// Record is one request as the receiver saw it. Requests of the search page and of the admin endpoints are
// not recorded.
type Record struct {
	// Seq counts requests from 1 in the order in which their headers arrived.
	Seq uint64 `json:"seq"`
	// Kind is one of the Kind constants.
	Kind   string `json:"kind"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Remote string `json:"remote"`
	// Sender is the [SenderHeader], or the User-Agent without it.
	Sender string `json:"sender,omitempty"`

	// Begin is when the headers had been read, Applied when the last change became visible. End is when the answer was
	// about to be written or the request was given up. Applied is zero when nothing was written, and End while the
	// request is in flight.
	Begin   time.Time `json:"begin"`
	Applied time.Time `json:"applied,omitzero"`
	End     time.Time `json:"end,omitzero"`
	Monotonic

	Bytes   int64    `json:"bytes"`
	Upserts []Upsert `json:"upserts,omitempty"`
	Deletes []string `json:"deletes,omitempty"`
	// Resync tells that dot-ai's isResync was true, whether or not it had the effect.
	Resync bool `json:"isResync,omitempty"`
	// Embedded counts the texts in calls of the simulated embedder, failed ones included.
	Embedded int `json:"embedded,omitempty"`

	// Status is the HTTP status of the answer, 0 for none (reset, hung, in flight).
	Status int `json:"status"`
	// Error is the message of an error answer, cut at 200 bytes.
	Error string `json:"error,omitempty"`
	// Fault names the rule that took effect.
	Fault string `json:"fault,omitempty"`
	// ClientGone tells that the client had left before End; ClientGoneAt is when the receiver noticed that.
	ClientGone   bool          `json:"clientGone,omitempty"`
	ClientGoneAt time.Duration `json:"clientGoneAt,omitempty"`
}

// Overlap is a pair of requests that held one ID at the same time.
type Overlap struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	First  Record `json:"first"`
	Second Record `json:"second"`
	// Abandoned tells that the client of the first had left when the second arrived, or was seen to have left
	// within 100 ms of it. So the receiver was finishing a request that had no client any more. Only other pairs
	// break the rule of one sender at a time. On a busy machine, the kernel and net/http take up to 100 ms to
	// report a closed connection.
	Abandoned bool `json:"abandoned,omitempty"`
}

// abandonGrace is explained at [Overlap].
const abandonGrace = 100 * time.Millisecond

// Recorded is the result of a look at all records, those that are forgotten included.
type Recorded struct {
	Overlaps  int `json:"overlaps"`  // pairs that break the rule of one sender; see [Overlap]
	Abandoned int `json:"abandoned"` // pairs whose first client had left
	Forgotten int `json:"forgotten"` // records dropped because of [Options.MaxRecords]
}

// Stats sums up the records since the start or the last [Server.ResetRequests].
type Stats struct {
	Requests  int            `json:"requests"`  // all kinds
	Syncs     int            `json:"syncs"`     // POSTs of the two sync endpoints
	ByStatus  map[int]int    `json:"byStatus"`  // 0: no answer
	BySender  map[string]int `json:"bySender"`  // syncs
	InFlight  int            `json:"inFlight"`  // syncs being handled
	MaxFlight int            `json:"maxFlight"` // most syncs handled at once
	Gone      int            `json:"clientGone"`

	Upserts    int   `json:"upserts"` // items received, whatever their outcome
	Deletes    int   `json:"deletes"`
	MaxUpserts int   `json:"maxUpserts"` // in one payload
	MaxDeletes int   `json:"maxDeletes"`
	MaxBytes   int64 `json:"maxBytes"`
	Unchanged  int   `json:"unchanged"` // upserts that were written and changed nothing
	Mixed      int   `json:"mixed"`     // payloads with both upserts and deletes
	InBoth     int   `json:"inBoth"`    // IDs in both arrays of one payload, which the two receivers treat oppositely
	Resyncs    int   `json:"isResync"`  // payloads with dot-ai's isResync:true

	Embedded   int `json:"embedded"`   // texts embedded
	EmbedCalls int `json:"embedCalls"` // calls of the embedder

	Recorded

	Documents map[string]int `json:"documents"` // by store
}
