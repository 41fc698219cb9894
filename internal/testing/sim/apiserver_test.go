package sim_test

import (
	"testing"
	"testing/synctest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// TestHistory_ListOfThePast_LacksWhatCameLater: of ten objects the API server lists all at present, in pages. At an
// earlier version it lists those that existed then.
func TestHistory_ListOfThePast_LacksWhatCameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []resource.Record
		for i := range uint64(10) {
			all = append(all, sim.Object(string(rune('k'+i)), 101+i))
		}
		h := sim.History(110, all)
		pods := resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
		for exact, want := range map[uint64]int{0: 10, 104: 4, 110: 10} {
			got := 0
			version, err := h.Pages(t.Context(), pods, watch.ListOptions{Exact: exact}, func(rs []resource.Record) error {
				got += len(rs)
				return nil
			})
			if err != nil || got != want || exact > 0 && version != exact {
				t.Errorf("at version %d: %d objects of version %d, %v; want %d", exact, got, version, err, want)
			}
		}
	})
}
