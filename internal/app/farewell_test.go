package app_test

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func idle() *pipeline.Pipeline {
	return pipeline.New(nil, wire.DotAI(), delivery.NewBreaker(delivery.BreakerOptions{}), pipeline.Options{Target: "default"})
}

// TestWhoHasLostItsLeaseSaysWhatWaitsAllTheSame: the API server was away for longer than the Lease lasts, and
// is back when we leave.
func TestWhoHasLostItsLeaseSaysWhatWaitsAllTheSame(t *testing.T) {
	t.Parallel()
	client, format := fake.NewClientset(), ring.DefaultFormat()
	x, leaver := index.New(nil), idle()
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 1, Digest: 1}}, 100)
	defer x.Listen(leaver)()
	own := checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 100, High: 100}}}
	mine := checkpoint.NewLedger("f", format)
	ours := storeOf(client, "a", mine)
	if err := ours.Publish(t.Context(), own, own, checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	read := func() *checkpoint.Ledger {
		t.Helper()
		ledger := checkpoint.NewLedger("f", format)
		if err := storeOf(client, "reader", ledger).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return ledger
	}
	if !app.Farewell(t.Context(), leaver, mine, ours, &own) || len(read().Lists()["a"].Open) > 0 {
		t.Error("nothing waits, and something was said")
	}
	x.Delete(pods, "a", "x", 102)
	if !app.Farewell(t.Context(), leaver, mine, ours, nil) || len(read().Lists()["a"].Open) > 0 {
		t.Error("a member that has said nothing before has nothing to add to")
	}
	if !app.Farewell(t.Context(), leaver, mine, ours, &own) {
		t.Error("not done")
	}
	want := []checkpoint.Tombstone{{Type: "pods.v1", ID: pods.ID("a", "x"), Version: 102}}
	ledger := read()
	if diff := cmp.Diff(want, ledger.Lists()["a"].Open); diff != "" || ledger.Bound("pods.v1") != 100 {
		t.Errorf("bound %d; (-want +got):\n%s", ledger.Bound("pods.v1"), diff)
	}
	// Its successor has written since: its word stays, and there is nothing more to be done.
	late := storeOf(client, "a", checkpoint.NewLedger("f", format))
	x.Delete(pods, "a", "y", 103)
	if !app.Farewell(t.Context(), leaver, mine, late, &own) {
		t.Error("tries to overwrite its successor")
	}
	if diff := cmp.Diff(want, read().Lists()["a"].Open); diff != "" {
		t.Errorf("after its successor (-want +got):\n%s", diff)
	}
}

// TestTheLastWordIsWorthTheTimeThatIsLeft when deletions wait: an API server that is away may come back.
func TestTheLastWordIsWorthTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		left  time.Duration
		waits bool
		want  time.Duration
	}{{25 * time.Second, true, 25 * time.Second}, {25 * time.Second, false, 5 * time.Second}, {time.Second, true, 5 * time.Second}, {-time.Second, true, 5 * time.Second}} {
		if got := app.ReleaseBy(now, now.Add(tt.left), tt.waits).Sub(now); got != tt.want {
			t.Errorf("%v are left, deletions wait: %v; it may take %v, want %v", tt.left, tt.waits, got, tt.want)
		}
	}
}

func storeOf(client *fake.Clientset, member string, b *checkpoint.Ledger) *checkpoint.Store {
	return checkpoint.NewStore(client.CoreV1(), b, checkpoint.StoreOptions{Namespace: "ns", Ring: "ring", Target: "default", Member: member, Log: logr.Discard()})
}
