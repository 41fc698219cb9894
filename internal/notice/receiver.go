package notice

import (
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
)

// ReceiverOf is the state of a receiver by the reports of all members.
func ReceiverOf(endpoint string, all map[string]progress.MemberStats) *Receiver {
	r := &Receiver{Endpoint: endpoint}
	for _, member := range slices.Sorted(maps.Keys(all)) {
		f := all[member]
		if f.Degraded {
			if !r.Down {
				r.Down, r.Reason, r.Advice = true, f.Reason, Advice(f.Kind)
			}
			r.By = append(r.By, member)
		}
		for _, w := range f.Held {
			r.Held = append(r.Held, Held{Resource: w.Resource, Source: string(w.Source), Member: member, Documents: w.Documents})
		}
	}
	return r
}
