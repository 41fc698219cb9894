// Package restore lists everything again when the cluster has gone back in time, because etcd was restored from a
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
)

const (
	// grace is how long the watches have to find out by themselves that the cluster has gone back in time: a
	// watch that has ended checks the version before it goes on. After that, Run lists the types that have not
	// been listed again.
	grace = 3 * time.Second
	// timeout bounds the lists that follow: a type that does not answer must not keep our checkpoints back for ever.
	timeout = time.Minute
)

// Restores handles the restores of the cluster. Create it with [New].
type Restores struct {
	relist func(ctx context.Context, before time.Time)
	void   func()
	log    logr.Logger
	signal chan struct{} // one slot: it has
	open   atomic.Bool   // it has, and has not been read since
	count  atomic.Int64  // how often it has
}

// New returns Restores that have seen none. relist lists everything again that was listed before a time; void
// makes all checkpoints worthless.
func New(relist func(ctx context.Context, before time.Time), void func(), log logr.Logger) *Restores {
	return &Restores{relist: relist, void: void, log: log, signal: make(chan struct{}, 1)}
}

// Note records the sign of our Lease that the cluster has gone back in time. From here on checkpoints are void,
// and we write none before we have read the cluster again: ours would speak of versions that are gone.
func (r *Restores) Note() {
	r.open.Store(true)
	r.void()
	select {
	case r.signal <- struct{}{}:
	default: // it is known
	}
}

// Open tells whether the cluster has gone back, and has not been read since.
func (r *Restores) Open() bool { return r.open.Load() }

// Count is how often it has.
func (r *Restores) Count() int { return int(r.count.Load()) }

// Run lists everything again after a restore, until ctx ends.
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
		case <-r.signal: // the same one, by another sign
		default:
		}
		r.count.Add(1) // When Leases are written again, so that one member speaks of it.
		lists, cancel := context.WithTimeout(ctx, timeout)
		r.relist(lists, noticed)
		cancel()
		if len(r.signal) == 0 {
			r.open.Store(false)
		}
	}
}
