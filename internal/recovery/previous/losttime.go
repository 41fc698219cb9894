package previous

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
)

// lagPatience is how long an API server may seem to be behind the inventory before the inventory counts as one of
// a lost time. The cache of an API server lags by seconds; a restored etcd stays behind until it has written as
// much again.
const lagPatience = time.Minute

// lostTime tells whether the inventory is of a time that was lost with the contents of etcd, or may be.
type lostTime struct {
	sure atomic.Bool

	mu     sync.Mutex // guards the fields below
	behind time.Time  // since when the API server seems to be behind the inventory; zero for not
	core   bool       // a type was behind that is kept in the cluster's own database for sure
}

// IsOfALostTime tells, once that is clear, whether the API server was behind the inventory: etcd was restored
// from a backup. The checkpoints went back with it, so the API server's history says nothing of what was lost.
func (p *Inventory) IsOfALostTime(now time.Time) bool {
	if !p.believed() {
		return false
	}
	p.lost.mu.Lock()
	defer p.lost.mu.Unlock()
	err := p.before.Check(present{Inventory: p})
	p.lost.core = p.lost.core || err != nil && p.coreIsBehind()
	switch {
	case p.lost.sure.Load():
		return true
	case err != nil && p.lost.behind.IsZero():
		p.lost.behind = now
		return false
	case p.lost.behind.IsZero() || err != nil && now.Sub(p.lost.behind) < lagPatience:
		return false
	}
	p.lost.sure.Store(true)
	p.opts.Log.Info("The API server was behind the inventory of the previous process, as after a restore; objects that only the inventory has are deleted within the guard",
		"everythingIsSentAgain", p.lost.core)
	return true
}

// coreIsBehind tells whether a type of the core group is behind the inventory. Other types may belong to an
// aggregated API that began anew, which proves nothing about the rest; Events may be in an etcd of their own.
func (p *Inventory) coreIsBehind() bool {
	return slices.ContainsFunc(p.before.Types(), func(info inventory.TypeInfo) bool {
		return info.Type.Group == "" && info.Type.Resource != "events" && info.IsAheadOf(present{Inventory: p}.State(info.Type))
	})
}

// ClusterWentBack tells whether it has become clear that the whole cluster went back in time, and not only an
// aggregated API.
func (p *Inventory) ClusterWentBack() bool {
	if p == nil || !p.lost.sure.Load() {
		return false
	}
	p.lost.mu.Lock()
	defer p.lost.mu.Unlock()
	return p.lost.core
}
