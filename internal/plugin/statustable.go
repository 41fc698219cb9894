package plugin

import (
	"fmt"
	"io"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// table writes the replicas, the receivers, and the problems.
func (r *statusReport) table(w io.Writer, wide bool) {
	r.replicas(w, wide)
	if len(r.Receivers) > 0 {
		fmt.Fprintln(w)
		r.receivers(w, wide)
	}
	r.write(w)
	if len(r.Problems) == 0 {
		fmt.Fprintln(w, "\n"+r.summary())
	}
}

// summary is the last line of a table without problems.
func (r *statusReport) summary() string {
	dirty, oldest := 0, 0.0
	for _, t := range r.Receivers {
		dirty, oldest = dirty+t.Dirty, max(oldest, t.OldestDirtySeconds)
	}
	if dirty > 0 {
		return fmt.Sprintf("All is well: %s on the way, the oldest for %s.", count(dirty, "change"), age(seconds(oldest)))
	}
	for _, l := range r.Replicas {
		if l.Status != nil && l.Status.Phase != api.PhaseInSync {
			return "All is well so far."
		}
	}
	return "All is well: every receiver is in step."
}

func (r *statusReport) replicas(w io.Writer, wide bool) {
	t := table{columns: []string{
		"MEMBER", "PHASE", "SHARE", "OBJECTS", "DIRTY", "OLDEST", "RECEIVER", "REFUSED", "UPTIME",
		"+TYPES", "+IN FLIGHT", "+UNKNOWN", "+UPSERTS", "+DELETES", "+HEARTBEAT", "+LAST RESYNC", "+VERSION",
	}}
	for _, l := range r.Replicas {
		share, heartbeat := none, none
		if i := slices.IndexFunc(r.members, func(m member) bool { return m.Name == l.Name }); i >= 0 {
			share, heartbeat = percent(r.members[i].Share), age(seconds(r.members[i].HeartbeatAgeSeconds))
		}
		if l.Status == nil {
			t.add(l.Name, "no answer", share, none, none, none, none, none, none, none, none, none, none, none, heartbeat, none, none)
			continue
		}
		s := l.Status
		var sum receiverReport
		if merged := mergeTargets(l); merged != nil {
			sum = *merged
		}
		t.add(l.Name, string(s.Phase), share, fmt.Sprint(s.Objects), fmt.Sprint(sum.Dirty), oldest(sum), receiverState(l), fmt.Sprint(sum.Quarantined),
			age(seconds(s.UptimeSeconds)), typesText(s.Types), fmt.Sprint(sum.InFlight), fmt.Sprint(sum.Unknown), fmt.Sprint(sum.Upserts),
			fmt.Sprint(sum.Deletes), heartbeat, lastResync(l), orNone(s.Version))
	}
	t.write(w, wide)
}

// mergeTargets adds up all receivers of one replica, nil when it has none.
func mergeTargets(l look) *receiverReport {
	targets := slices.Clone(l.Status.Targets)
	for i := range targets {
		targets[i].Name = ""
	}
	merged := mergeReceivers([]look{{Name: l.Name, Status: &api.Status{Targets: targets}}})
	if len(merged) == 0 {
		return nil
	}
	return &merged[0]
}

func oldest(r receiverReport) string {
	if r.Dirty == 0 {
		return none
	}
	return age(seconds(r.OldestDirtySeconds))
}

// receiverState is one cell for all receivers of a replica.
func receiverState(l look) string {
	down, state := 0, ""
	for _, t := range l.Status.Targets {
		if t.State != api.TargetDelivering {
			down++
			state = "down " + l.since(t.Since)
		}
	}
	switch n := len(l.Status.Targets); {
	case n == 0:
		return "none"
	case down == 0:
		return "ok"
	case n > 1:
		return fmt.Sprintf("%d of %d down", down, n)
	default:
		return state
	}
}

// typesText says how many types are watched, of how many.
func typesText(types []api.TypeStatus) string {
	watching := 0
	for _, t := range types {
		if t.Phase == api.TypeWatching {
			watching++
		}
	}
	return fmt.Sprintf("%d/%d", watching, len(types)-unreadable(types))
}

func lastResync(l look) string {
	last := l.Status.Resync.Last
	if last == nil || last.FinishedAt == nil {
		return none
	}
	return fmt.Sprintf("%s %s ago", last.Status, l.since(*last.FinishedAt))
}

func (r *statusReport) receivers(w io.Writer, wide bool) {
	t := table{columns: []string{
		"RECEIVER", "FORMAT", "STATE", "DIRTY", "OLDEST", "IN FLIGHT", "REFUSED", "ENDPOINT", "+UPSERTS", "+DELETES", "+UNKNOWN",
	}}
	for _, x := range r.Receivers {
		state := "ok"
		if n := len(x.BackingOff); n > 0 && len(x.Delivering) == 0 {
			state = "down"
		} else if n > 0 {
			state = fmt.Sprintf("down for %d of %d", n, n+len(x.Delivering))
		}
		t.add(x.Name, x.Format, state, fmt.Sprint(x.Dirty), oldest(x), fmt.Sprint(x.InFlight), fmt.Sprint(x.Quarantined), x.Endpoint,
			fmt.Sprint(x.Upserts), fmt.Sprint(x.Deletes), fmt.Sprint(x.Unknown))
	}
	t.write(w, wide)
}
