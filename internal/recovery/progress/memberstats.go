package progress

import (
	"encoding/json"
	"math"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// MemberStats are a member's statistics of one target beside its checkpoint, for sums over all members. They
// change only when something happens.
type MemberStats struct {
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
	Judged      []string      `json:"judged,omitempty"`  // types whose deletions the receiver's own list has told since
	Held        []repair.Held `json:"held,omitempty"`
	Stay        string        `json:"stay,omitempty"` // the incarnation in which the lists were made
}

func (f MemberStats) encode() string {
	b, err := json.Marshal(f)
	if err != nil { // Every value in it can be encoded.
		return ""
	}
	return string(b)
}

// Stats are this member's statistics.
func (p *Publisher) Stats() MemberStats {
	s := p.opts.Pipeline.Stats()
	f := MemberStats{
		Errors: int64(min(s.Totals.Failed, math.MaxInt64)), Dirty: s.Dirty, Quarantined: s.Quarantined,
		First: !p.opts.Life.Read() || s.First.Done < s.First.Total, LastError: s.Totals.LastError,
		Judged: p.opts.Searches.Orphans.Judged(), Held: repair.Sorted(p.opts.Searches.Finder.Held(), p.opts.Searches.Orphans.Held()), Stay: p.opts.Member.Incarnation(),
	}
	for _, typ := range p.opts.Searches.Finder.Unresolved() {
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

// PeerStats are the statistics of the other live members, each of its present incarnation.
func (p *Publisher) PeerStats() map[string]MemberStats {
	stays := make(map[string]string)
	for _, m := range p.opts.View().Leases {
		if m.Lease.State == ownership.Live {
			stays[m.Lease.Member] = m.Lease.Incarnation
		}
	}
	all := make(map[string]MemberStats)
	for member, text := range p.opts.Ledger.Stats() {
		var f MemberStats
		if member == p.opts.Member.Name() || json.Unmarshal([]byte(text), &f) != nil || f.Stay == "" || stays[member] != f.Stay {
			continue
		}
		all[member] = f
	}
	return all
}

// AllStats are the statistics of all members, by name.
func (p *Publisher) AllStats() map[string]MemberStats {
	all := p.PeerStats()
	all[p.opts.Member.Name()] = p.Stats()
	return all
}
