package status_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// conditions returns "Status Reason" by type.
func conditions(s v1alpha1.ResourceSyncConfigStatus) map[string]string {
	got := map[string]string{}
	for _, c := range s.Conditions {
		got[c.Type] = string(c.Status) + " " + c.Reason
	}
	return got
}

func TestConditionsSayWhatTheFactsAre(t *testing.T) {
	t.Parallel()
	well := status.Report{Active: true, WatchedTypes: 65, LastSync: noon}
	with := func(change func(*status.Report)) status.Report {
		r := well
		change(&r)
		return r
	}
	degraded := func(k wire.Kind) status.Facts {
		return status.Facts{Running: true, Report: with(func(r *status.Report) { r.Degraded, r.Kind, r.Reason = true, k, "says no" })}
	}
	nothing := "Unknown NotWatching"
	// The order is Ready, ReceiverDegraded, DiscoveryIncomplete, DeletionsUnknown, RepairWaiting; empty is
	// "False AsExpected".
	tests := map[string]struct {
		facts status.Facts
		want  [5]string
	}{
		"in step":             {status.Facts{Running: true, Report: well}, [5]string{"True Syncing"}},
		"nothing to be sent":  {status.Facts{Running: true, Report: status.Report{Active: true, WatchedTypes: 1}}, [5]string{"True Syncing"}},
		"first sync":          {status.Facts{Running: true, Report: with(func(r *status.Report) { r.InitialSync = true })}, [5]string{"True InitialSync"}},
		"nothing known yet":   {status.Facts{Running: true}, [5]string{"False Starting", nothing, nothing, nothing, nothing}},
		"no answer yet":       {status.Facts{Running: true, Report: with(func(r *status.Report) { r.LastSync, r.Dirty = time.Time{}, 1 })}, [5]string{"False Starting"}},
		"spec is wrong":       {status.Facts{Problem: &status.Problem{Reason: "InvalidSpec"}}, [5]string{"False InvalidSpec", nothing, nothing, nothing, nothing}},
		"Secret has gone":     {status.Facts{Problem: &status.Problem{Reason: "SecretNotFound"}, Running: true, Report: well}, [5]string{"False SecretNotFound"}},
		"unreachable":         {degraded(wire.Retry), [5]string{"False ReceiverUnavailable", "True ReceiverUnavailable"}},
		"no answer":           {degraded(wire.Unknown), [5]string{"False ReceiverUnavailable", "True ReceiverUnavailable"}},
		"token refused":       {degraded(wire.Unauthorized), [5]string{"False Unauthorized", "True Unauthorized"}},
		"wrong endpoint":      {degraded(wire.WrongEndpoint), [5]string{"False WrongEndpoint", "True WrongEndpoint"}},
		"errors":              {degraded(wire.ServerError), [5]string{"False ReceiverFailing", "True ReceiverFailing"}},
		"some types missing":  {status.Facts{Running: true, Report: with(func(r *status.Report) { r.DiscoveryIncomplete = "a" })}, [5]string{"True Syncing", "", "True TypesMissing"}},
		"some forbidden":      {status.Facts{Running: true, Report: with(func(r *status.Report) { r.DiscoveryIncomplete, r.Forbidden = "a", true })}, [5]string{"True Syncing", "", "True MissingPermissions"}},
		"all forbidden":       {status.Facts{Running: true, Report: status.Report{Active: true, Forbidden: true, DiscoveryIncomplete: "a"}}, [5]string{"False MissingPermissions", "", "True MissingPermissions"}},
		"no types":            {status.Facts{Running: true, Report: status.Report{Active: true}}, [5]string{"False NothingWatched"}},
		"deletions not known": {status.Facts{Running: true, Report: with(func(r *status.Report) { r.UnknownDeletes = "a" })}, [5]string{"True Syncing", "", "", "True NoRecord"}},
		"repair waits":        {status.Facts{Running: true, Report: with(func(r *status.Report) { r.GuardWaiting = "a" })}, [5]string{"True Syncing", "", "", "", "True TooManyDeletions"}},
	}
	for name, test := range tests {
		want := map[string]string{}
		for i, kind := range []string{"Ready", "ReceiverDegraded", "DiscoveryIncomplete", "DeletionsUnknown", "RepairWaiting"} {
			if want[kind] = test.want[i]; want[kind] == "" {
				want[kind] = "False AsExpected"
			}
		}
		got := status.Of(&v1alpha1.ResourceSyncConfigStatus{}, test.facts, noon)
		if diff := cmp.Diff(want, conditions(got)); diff != "" {
			t.Errorf("%s: conditions (-want +got):\n%s", name, diff)
		}
	}
}

func TestStatusKeepsWhatIsNotKnownAnyMore(t *testing.T) {
	t.Parallel()
	running := status.Of(&v1alpha1.ResourceSyncConfigStatus{}, status.Facts{
		Generation: 1, Running: true,
		Report: status.Report{Active: true, WatchedTypes: 65, Synced: 7, SyncErrors: 2, LastError: "refused", LastSync: noon.Add(-time.Minute), LastResync: noon.Add(-time.Hour)},
	}, noon)
	stopped := status.Of(&running, status.Facts{Generation: 2, Problem: &status.Problem{Reason: "SecretNotFound", Message: "m"}}, noon.Add(time.Minute))
	want := running
	want.ObservedGeneration, want.Active, want.WatchedResourceTypes, want.Conditions = 2, false, 0, stopped.Conditions
	want.LastError = "m"
	if diff := cmp.Diff(want, stopped); diff != "" {
		t.Errorf("status of a stopped target (-want +got):\n%s", diff)
	}
	again := status.Of(&stopped, status.Facts{
		Generation: 2, Running: true, Report: status.Report{Active: true, WatchedTypes: 65, Synced: 1, LastSync: noon.Add(-time.Hour)},
	}, noon.Add(time.Hour))
	if !again.LastSyncTime.Equal(running.LastSyncTime) || again.TotalResourcesSynced != 1 || again.LastError != "m" {
		t.Errorf("a restarted target has the status %+v", again)
	}
}

func TestSameFactsMakeTheSameStatus(t *testing.T) {
	t.Parallel()
	f := status.Facts{Generation: 3, Running: true, Report: status.Report{Active: true, WatchedTypes: 65, Synced: 7, LastSync: noon.Add(-1500 * time.Millisecond)}}
	first := status.Of(&v1alpha1.ResourceSyncConfigStatus{}, f, noon)
	if diff := cmp.Diff(first, status.Of(&first, f, noon.Add(time.Hour))); diff != "" {
		t.Errorf("an hour later, without a change (-first +second):\n%s", diff)
	}
	f.Report.Degraded = true
	turned := status.Of(&first, f, noon.Add(time.Hour))
	for _, c := range turned.Conditions {
		moved := c.LastTransitionTime.Equal(&metav1.Time{Time: noon.Add(time.Hour)})
		if want := c.Type == "Ready" || c.Type == "ReceiverDegraded"; moved != want {
			t.Errorf("%s turned at %s", c.Type, c.LastTransitionTime)
		}
	}
}

func TestOf_SpecNamesNothingThatIsWatched_ReadySaysSo(t *testing.T) {
	t.Parallel()
	facts := status.Facts{Running: true, Report: status.Report{Active: true, WatchedTypes: 65, LastSync: noon, Overlooked: "widgets, team"}}
	s := status.Of(&v1alpha1.ResourceSyncConfigStatus{}, facts, noon)
	const want = "The receiver is kept in step with the cluster. The spec names what the controller does not watch or keep: widgets, team."
	if got := s.Conditions[0].Message; got != want {
		t.Errorf("Ready says %q, want %q", got, want)
	}
}
