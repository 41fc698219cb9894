package inspect

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Source has the data to show. Many goroutines call its methods at once, and each returns copies.
type Source interface {
	// Object returns the data of an ID, which is well-formed. The object need not exist.
	Object(id resource.ID) Object
	// Types returns the types of that name, as kubectl spells it, for the targets of that name. Empty means all.
	Types(target, name string) []Type
	// Checkpoints returns the checkpoint of that name, or all without their entries, of the targets of that name.
	// Empty means all.
	Checkpoints(target, name string) []Checkpoint
}

// Object is the data of one object on this replica.
type Object struct {
	ID        string `json:"id"`
	Type      string `json:"type,omitempty"` // empty: no type of that kind is watched
	Partition int    `json:"partition"`
	// Owner is the member that the ring names. During a handoff there is more than one claimant.
	Owner     string   `json:"owner"`
	Claimants []string `json:"claimants,omitempty"`
	// MaySend tells whether this replica may send it now.
	MaySend bool `json:"maySend"`
	// Index is the state in the index, nil when the cluster has no such object.
	Index   *State `json:"index,omitempty"`
	Targets []Item `json:"targets"`
}

// State is a state of an object.
type State struct {
	Version uint64 `json:"version,string"`
	Digest  string `json:"digest"` // xxhash64 of the content to send
}

// Item is an object on its way to one receiver.
type Item struct {
	Target string `json:"target"`
	// Place is where the item is: waiting for the end of its debounce window, queued, suspected, parked, and so on. It
	// is nowhere when nothing is to be sent, or a request carries it.
	Place     string `json:"place"`
	Operation string `json:"operation,omitempty"` // upsert or delete
	State     *State `json:"state,omitempty"`
	// DirtySince is when the oldest change was seen that is not acknowledged.
	DirtySince *time.Time `json:"dirtySince,omitempty"`
	InFlight   bool       `json:"inFlight"`
	// InDoubt tells that a request of unknown outcome may still change the document; Repeats is how often the last
	// word is yet to be sent.
	InDoubt bool       `json:"inDoubt"`
	Repeats int        `json:"repeats,omitempty"`
	DueAt   *time.Time `json:"dueAt,omitempty"`
	// BatchLimit is the largest batch in which the object may travel since it failed in a larger one.
	BatchLimit  int      `json:"batchLimit,omitempty"`
	Quarantined string   `json:"quarantined,omitempty"` // the receiver's reason
	Failure     *Failure `json:"failure,omitempty"`
	// Acknowledged is the version up to which checkpoints cover every state of the object.
	Acknowledged uint64 `json:"acknowledged,string"`
}

// Failure describes the failed requests that carried an object, since its last delivery.
type Failure struct {
	Tries   int       `json:"tries"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
}

// Type is the data of one type, for one target.
type Type struct {
	Target  string `json:"target"`
	Type    string `json:"type"`
	Objects int    `json:"objects"`
	// Listed tells whether a complete list has been read. Version is the version that the index has reached, and Since
	// the version of the last list.
	Listed  bool   `json:"listed"`
	Version uint64 `json:"version,string"`
	Since   uint64 `json:"since,string"`
	// Restores counts the lists that have shown that versions went back.
	Restores uint64 `json:"restores,omitempty"`
	// Recovery is how far the search for missed deletions has come: pending, answered, replayed, compared, held or
	// unknown. It is empty before the search has begun.
	Recovery string `json:"recovery"`
	// Gap is a period of which the watch has seen only the outcome, and which is still being searched for deletions.
	Gap *Gap `json:"gap,omitempty"`
	// Pending is how many objects of the first list are still to be delivered.
	Pending int `json:"pending,omitempty"`
}

// Gap lies between two versions.
type Gap struct {
	After uint64     `json:"after,string"`
	Until uint64     `json:"until,string"`
	Retry *time.Time `json:"retry,omitempty"`
}

// Checkpoint is the checkpoint of one member.
type Checkpoint struct {
	Target      string   `json:"target"`
	Name        string   `json:"name"`
	Member      string   `json:"member"`
	Incarnation string   `json:"incarnation"`
	View        []string `json:"view"`
	Takes       []string `json:"takes,omitempty"`
	Yields      []string `json:"yields,omitempty"`
	InDoubt     int      `json:"inDoubt"`
	Types       int      `json:"types"`
	// Entries are by type; nil unless the checkpoint was asked for by its name.
	Entries map[string]Entry `json:"entries,omitempty"`
}

// Entry is a checkpoint's entry of one type.
type Entry struct {
	// Low is the version up to which every change is acknowledged. High is the version up to which every change is,
	// except for the exceptions, and for hashes from Until on.
	Low     uint64 `json:"low,string"`
	High    uint64 `json:"high,string"`
	Until   uint32 `json:"until,omitempty"`
	Event   uint64 `json:"event,string"`
	Deleted uint64 `json:"deleted,string"`
	Opaque  bool   `json:"opaque,omitempty"`
	// Except and Refused are how many objects are left out.
	Except  int `json:"except"`
	Refused int `json:"refused"`
}
