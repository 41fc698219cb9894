package app

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// contested is for [pipeline.Pipeline.ForgetCovered].
func (t *target) contested(typ resource.Type, id resource.ID, s pipeline.State) bool {
	return !s.Deleted && s.Version > 0 && !t.ledger.Confirms(typ.String(), id, s.Version)
}

// compareSums holds the sums that other members' checkpoints tell against our index.
func (t *target) compareSums() {
	if !t.ledger.Contests() {
		return
	}
	types := make(map[string]resource.Type)
	for _, typ := range t.index.Types() {
		types[typ.String()] = typ
	}
	t.ledger.Compare(func(name string, version, sum uint64) checkpoint.Agreement {
		typ, known := types[name]
		if !known {
			return checkpoint.Incomparable
		}
		return agreement(t.index, typ, version, sum)
	})
}

// agreement is what our index says to the sum of another at a version. What has not changed since needs no version.
func agreement(x *index.Index, t resource.Type, version, sum uint64) checkpoint.Agreement {
	now, ok := x.Sum(t)
	ours, reach := x.SumAt(t, version)
	switch {
	case ok && now.Hash == sum, reach == index.Reached && ours == sum:
		return checkpoint.Agreed
	case reach == index.Unknown:
		return checkpoint.Incomparable
	default:
		return checkpoint.Contested
	}
}

// forgetCovered forgets what is parked and covered, as far as there is news of it.
func (t *target) forgetCovered() {
	t.compareSums()
	t.pipeline.ForgetCovered(mayCover(t.ledger.News()), t.contested)
}
