package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func BenchmarkEncodeUpserts(b *testing.B) {
	for _, f := range wire.Formats() {
		b.Run(f.Name(), func(b *testing.B) {
			items := benchItems()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.EncodeUpserts(items); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/item")
		})
	}
}

func BenchmarkUpsertSize(b *testing.B) {
	for _, f := range wire.Formats() {
		b.Run(f.Name(), func(b *testing.B) {
			items := benchItems()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				_ = f.UpsertSize(items[n%len(items)])
			}
		})
	}
}

func benchItems() []wire.Item {
	items := make([]wire.Item, 100)
	for n := range items {
		items[n] = item(deployments, "shop", fmt.Sprintf("cart-%d", n), time.Unix(1768473000, 0), map[string]string{
			"app.kubernetes.io/name": "cart", "app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm",
		}, map[string]string{"description": "the cart service keeps what a customer wants to buy"})
	}
	return items
}

// TestAnUpsertAllocatesLittle bounds the cost of encoding an object that is sent.
func TestAnUpsertAllocatesLittle(t *testing.T) {
	for _, f := range wire.Formats() {
		items := benchItems()
		n := testing.AllocsPerRun(100, func() {
			if _, err := f.EncodeUpserts(items); err != nil {
				t.Error(err)
			}
		})
		if each := n / float64(len(items)); each > 0.5 {
			t.Errorf("%s: an upsert allocates %.1f times, want at most 0.5", f.Name(), each)
		}
		if n := testing.AllocsPerRun(100, func() { _ = f.UpsertSize(items[0]) }); n > 0 {
			t.Errorf("%s: the size of an upsert allocates %.0f times, want 0", f.Name(), n)
		}
	}
}
