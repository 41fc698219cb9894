package deletions_test

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// All replicas were away. A checkpoint says that the receiver had everything up to version 50. At that version there
// were two pods; at the first list, at version 100, there is one.
func ExampleFinder() {
	refresh := func() error { return nil }
	now := index.New(nil)
	now.Replace(pods, []resource.Record{{Namespace: "a", Name: "web", ResourceVersion: 40}}, 100)

	f := deletions.New(deletions.Options{
		Pager: &history{at: map[uint64][]string{50: {"web", "worker"}}}, Index: now,
		Ledger:      checkpoint.NewLedger("fingerprint", ring.DefaultFormat()),
		Checkpoints: told{checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}}}, &refresh},
		Members:     func() []ownership.MemberStatus { return nil }, // There is no peer that could tell.
		Receiver: deletions.Receiver{
			Wants: func(resource.Type, string, string) bool { return true },
			Sees:  func(resource.Record) bool { return true },
			Delete: func(t resource.Type, namespace, name string, after, _ uint64) bool {
				return now.IfAbsent(t, namespace, name, func() { fmt.Println("delete", name, "which was there at version", after) })
			},
		},
		Types: deletions.Types{
			Served:   func() ([]resource.Type, bool) { return now.Types(), true },
			Selected: func(resource.Type) bool { return true },
		},
		Metrics: repair.NewMetrics(nil), Log: logr.Discard(),
	})
	fmt.Println("until then deletions are known up to version", f.Coverage(time.Now())["pods.v1"].Deleted)
	f.Step(context.Background(), time.Now())
	state, _, _ := f.Inspect(pods)
	fmt.Println(state)
	// Output:
	// until then deletions are known up to version 50
	// delete worker which was there at version 50
	// compared
}
