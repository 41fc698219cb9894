package backend_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestShares_EachMemberHasALine holds for a member that has reported nothing yet as well.
func TestShares_EachMemberHasALine(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	got := backend.Shares(map[string]progress.MemberStats{
		"b": {Dirty: 3, DirtySince: at, Quarantined: 1, First: true, LastSync: at},
		"a": {Degraded: true, Kind: wire.Unauthorized, Reason: "HTTP 401"},
	}, []string{"a", "b", "c"}, "b")
	want := []api.FleetShare{
		{Member: "a", Down: true, Reason: "HTTP 401", Advice: notice.Advice(wire.Unauthorized)},
		{Member: "b", Self: true, Dirty: 3, DirtySince: at, Quarantined: 1, FirstSync: true, LastSync: at},
		{Member: "c", Silent: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
}
