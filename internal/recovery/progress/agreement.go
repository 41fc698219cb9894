package progress

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// contested implements the argument of [pipeline.Pipeline.ForgetCovered].
func (p *Publisher) contested(typ resource.Type, id resource.ID, s pipeline.State) bool {
	return !s.Deleted && !s.Lost && s.Version > 0 && !p.opts.Ledger.Confirms(typ.String(), id, s.Version)
}

// compareSums compares the sums in other members' checkpoints with our index.
func (p *Publisher) compareSums() {
	if !p.opts.Ledger.Contests() {
		return
	}
	types := p.typesByName()
	p.opts.Ledger.Compare(func(name string, version, sum uint64) checkpoint.Agreement {
		typ, known := types[name]
		if !known {
			return checkpoint.Incomparable
		}
		return agreement(p.opts.Index, typ, version, sum)
	})
}

// agreement compares another member's sum at a version with our index. A type without a later change needs no
// version.
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

// ForgetCovered forgets all changes that are parked and covered.
func (p *Publisher) ForgetCovered() {
	p.compareSums()
	p.opts.Pipeline.ForgetCovered(nil, p.contested)
}

// forgetCovered forgets parked changes of which the news says that they may be covered.
func (p *Publisher) forgetCovered() {
	p.compareSums()
	p.opts.Pipeline.ForgetCovered(mayCover(p.opts.Ledger.News()), p.contested)
}
