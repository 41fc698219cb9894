package progress

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// Answers answer a pipeline's questions about single states from the checkpoints.
type Answers struct {
	Ledger     *checkpoint.Ledger
	Tombstones *tombstones.Set
}

// nameOf names a state among all members.
func nameOf(id resource.ID, s pipeline.State) uint64 {
	if s.Lost {
		return checkpoint.Tombstone{ID: id, Digest: s.Digest, Lost: true}.Name()
	}
	return checkpoint.Name(id, s.Version, s.Digest)
}

// Covers is for [pipeline.Options.Covers].
func (a Answers) Covers(t resource.Type, id resource.ID, s pipeline.State) bool {
	if s.Deleted || s.Version == 0 || s.Lost {
		return a.Ledger.Delivered(nameOf(id, s))
	}
	return a.Ledger.Covers(t.String(), id, s.Version)
}

// Delivered is for [pipeline.Options.Delivered].
func (a Answers) Delivered(id resource.ID, s pipeline.State) {
	a.Tombstones.Deliver(nameOf(id, s), time.Now())
}

// Acknowledged is for [pipeline.Options.Acknowledged].
func (a Answers) Acknowledged(t resource.Type, id resource.ID) uint64 {
	return a.Ledger.Acknowledged(t.String(), id)
}

// Doubtful is for [pipeline.Options.Doubtful].
func (a Answers) Doubtful(id resource.ID) (pipeline.Doubt, bool) {
	d, ok := a.Ledger.Doubtful(id)
	return pipeline.Doubt{ID: id, Version: d.Version, Acknowledged: d.Acknowledged, Overwritable: d.Overwritable}, ok
}
