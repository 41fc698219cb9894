package app

import (
	"context"
	"time"
)

const (
	// restoreGrace is how long the watches have to find out by themselves that the cluster has gone back in time: those that
	// have ended look at the version before they go on. What has not been listed again by then is.
	restoreGrace = 3 * time.Second
	// restoreTimeout bounds the lists that follow: a type that does not answer must not keep our checkpoints back for ever.
	restoreTimeout = time.Minute
)

// noteRestore takes the word of our Lease that the cluster has gone back in time. It does not block. Checkpoints are void from
// here on, and we write none before we have read the cluster again: ours would speak of versions that are gone.
func (a *App) noteRestore() {
	a.restoring.Store(true)
	for _, t := range a.targets() {
		t.store.Void()
	}
	select {
	case a.restored <- struct{}{}:
	default: // it is known
	}
}

// followRestores lists everything again after a restore of etcd, until ctx ends.
func (a *App) followRestores(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.restored:
		}
		noticed := time.Now()
		a.log.Info("The cluster has gone back in time, everything is listed again; what was written since the backup is void")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restoreGrace):
		}
		select {
		case <-a.restored: // the same one, by another sign
		default:
		}
		lists, cancel := context.WithTimeout(ctx, restoreTimeout)
		a.watches.RelistBefore(lists, noticed)
		cancel()
		if len(a.restored) == 0 {
			a.restoring.Store(false)
		}
	}
}
