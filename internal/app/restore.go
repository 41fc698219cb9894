package app

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// restoreGrace is how long the watches have to find out by themselves that the cluster has gone back in
	// time: those that have ended look at the version before they go on. What has not been listed again by
	// then is.
	restoreGrace = 3 * time.Second
	// restoreTimeout bounds the lists that follow: a type that does not answer must not keep our checkpoints
	// back for ever.
	restoreTimeout = time.Minute
)

// restores are the times that the cluster has gone back.
type restores struct {
	signal chan struct{} // one slot: it has
	open   atomic.Bool   // it has, and has not been read since
	count  atomic.Int64  // how often it has
}

func newRestores() restores { return restores{signal: make(chan struct{}, 1)} }

// noteRestore takes the word of our Lease that the cluster has gone back in time. It does not block.
// Checkpoints are void from here on, and we write none before we have read the cluster again: ours would
// speak of versions that are gone.
func (a *App) noteRestore() {
	a.restores.open.Store(true)
	for _, t := range a.targets() {
		t.Void()
	}
	select {
	case a.restores.signal <- struct{}{}:
	default: // it is known
	}
}

// followRestores lists everything again after a restore of etcd, until ctx ends.
func (a *App) followRestores(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.restores.signal:
		}
		noticed := time.Now()
		a.log.Info("The cluster has gone back in time, everything is listed again; what was written since the backup is void")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restoreGrace):
		}
		select {
		case <-a.restores.signal: // the same one, by another sign
		default:
		}
		a.restores.count.Add(1) // When Leases are written again, so that one member speaks of it.
		lists, cancel := context.WithTimeout(ctx, restoreTimeout)
		a.watches.RelistBefore(lists, noticed)
		cancel()
		if len(a.restores.signal) == 0 {
			a.restores.open.Store(false)
		}
	}
}
