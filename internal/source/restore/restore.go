// Package restore lists all types again when the cluster has gone back in time, because etcd was restored from a
// backup.
//
//	quiet ──Note──▶ open: checkpoints are void, and none is written ──3 s──▶ lists ──all of them, or a minute──▶ quiet
//	                  ▲                                                       │ Note
//	                  ╰───────────────────────────────────────────────────────╯
//
// [Restores.Note] does not block, and may be called from anywhere. [Restores.Run] blocks until its context ends.
package restore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

const (
	// grace is how long the watches have to find out by themselves that the cluster has gone back in time. A watch
	// that has ended checks the version before it goes on. After the grace, Run lists the types that no watch has
	// listed again.
	grace = 3 * time.Second
	// timeout bounds the lists after the grace: a type that does not answer must not hold back our checkpoints for
	// ever.
	timeout = time.Minute
)

// Restores handles the restores of the cluster. Create it with [New].
type Restores struct {
	relist func(ctx context.Context, before time.Time)
	void   func()
	log    logr.Logger
	signal wake.Slot    // a restore was noted
	open   atomic.Bool  // a restore was noted, and the cluster has not been read since
	count  atomic.Int64 // restores so far
}

// New returns Restores that have seen no restore. relist lists again all types that were last listed before a
// time; void makes all checkpoints worthless.
func New(relist func(ctx context.Context, before time.Time), void func(), log logr.Logger) *Restores {
	return &Restores{relist: relist, void: void, log: log, signal: wake.New()}
}

// Note records that our Lease shows a cluster that has gone back in time. From here on checkpoints are void. We
// write none before we have read the cluster again, because ours would name versions that do not exist any more.
func (r *Restores) Note() {
	r.open.Store(true)
	r.void()
	r.signal.Wake()
}

// Open tells whether the cluster has gone back in time and has not been read since.
func (r *Restores) Open() bool { return r.open.Load() }

// Count is how often the cluster has gone back in time.
func (r *Restores) Count() int { return int(r.count.Load()) }

// Run lists all types again after each restore, until ctx ends.
func (r *Restores) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.signal:
		}
		noticed := time.Now()
		r.log.Info("The cluster has gone back in time, everything is listed again; what was written since the backup is void")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(grace):
		}
		select {
		case <-r.signal: // another sign of the same restore
		default:
		}
		r.count.Add(1) // Leases are written again by this time, so that one member reports the restore.
		lists, cancel := context.WithTimeout(ctx, timeout)
		r.relist(lists, noticed)
		cancel()
		if len(r.signal) == 0 {
			r.open.Store(false)
		}
	}
}
