package app

import (
	"encoding/json"
	"math"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// memberStats are what a member says of one target beside its checkpoint, for sums over all members. They change only
// when something happens.
type memberStats struct {
	Errors      int64         `json:"errors,omitempty"`
	Dirty       int           `json:"dirty,omitempty"`
	Quarantined int           `json:"quarantined,omitempty"`
	First       bool          `json:"first,omitempty"` // the first sync is under way
	LastSync    time.Time     `json:"lastSync,omitzero"`
	DirtySince  time.Time     `json:"dirtySince,omitzero"` // to ten seconds, so that it does not change by itself
	LastError   string        `json:"lastError,omitempty"`
	Degraded    bool          `json:"degraded,omitempty"`
	Kind        wire.Kind     `json:"kind,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Unknown     []string      `json:"unknown,omitempty"` // types of which deletions may have been missed
	Judged      []string      `json:"judged,omitempty"`  // those of which the receiver's own list has told since
	Held        []repair.Held `json:"held,omitempty"`
	Stay        string        `json:"stay,omitempty"` // in the ring, in which the lists were made
}

func (f memberStats) encode() string {
	b, err := json.Marshal(f)
	if err != nil { // Nothing in it can fail.
		return ""
	}
	return string(b)
}

// memberStats are ours.
func (t *target) memberStats() memberStats {
	s := t.pipeline.Stats()
	f := memberStats{
		Errors: int64(min(s.Totals.Failed, math.MaxInt64)), Dirty: s.Dirty, Quarantined: s.Quarantined,
		First: !t.read() || s.First.Done < s.First.Total, LastError: s.Totals.LastError,
		Judged: t.orphanFinder.Judged(), Held: repair.Sorted(t.finder.Held(), t.orphanFinder.Held()), Stay: t.member.Incarnation(),
	}
	for _, typ := range t.finder.Unresolved() {
		f.Unknown = append(f.Unknown, typ.String())
	}
	if last := s.Totals.LastDelivered; !last.IsZero() {
		f.LastSync = last.UTC().Truncate(time.Second)
	}
	if s.OldestDirty > 0 {
		f.DirtySince = time.Now().Add(-s.OldestDirty).UTC().Truncate(10 * time.Second)
	}
	if s.Breaker.Open {
		f.Degraded, f.Kind, f.Reason = true, s.Breaker.Kind, s.Breaker.Reason
	}
	return f
}
