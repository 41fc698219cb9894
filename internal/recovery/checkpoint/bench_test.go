package checkpoint_test

import (
	"fmt"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// BenchmarkCovers asks about an object that is parked and not delivered, in a fleet of so many members with 60 types
// each. It asks all checkpoints, and those that come in a second. Every member asks so about all objects that it has
// parked.
func BenchmarkCovers(b *testing.B) {
	for _, members := range []int{3, 50} {
		b.Run(fmt.Sprint(members, " members"), func(b *testing.B) {
			l := checkpoint.NewLedger("f", ring.DefaultFormat())
			var view []string
			for i := range members {
				view = append(view, fmt.Sprintf("k8s-vectordb-sync-%d", i))
			}
			types := make(map[string]checkpoint.Entry)
			for i := range 60 {
				types[fmt.Sprintf("type%d.v1.example.com", i)] = checkpoint.Entry{Low: 1000, High: 1000}
			}
			for _, m := range view {
				c := checkpoint.Checkpoint{Member: m, View: view, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f", Types: types}
				l.Set("ring-default-"+m+"/checkpoint", c)
				c.View = []string{m}
				l.Set("ring-default-"+m+"/all", c)
			}
			ids := make([]resource.ID, 1000)
			for i := range ids {
				ids[i] = resource.ID(fmt.Sprintf("team-%d/example.com/v1/Type7/object-%d", i%20, i))
			}
			b.Run("all", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if l.Covers("type7.v1.example.com", ids[i%len(ids)], 2000) {
						b.Fatal("covered")
					}
				}
			})
			b.Run("news", func(b *testing.B) {
				l.News()
				for _, m := range view[:(members+9)/10] { // each writes every 10 s
					c := checkpoint.Checkpoint{Member: m, View: view, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f", Types: types}
					l.Set("ring-default-"+m+"/checkpoint", c)
					c.View = []string{m}
					l.Set("ring-default-"+m+"/all", c)
				}
				news := l.News()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if news.Touches("type7.v1.example.com", ids[i%len(ids)], 2000) {
						b.Fatal("something has changed")
					}
				}
			})
		})
	}
}
