package deletions

import (
	"context"
	"time"
)

// Around holds the calls that a finder makes around its steps.
type Around struct {
	// Synced is closed when all checkpoints have been read, Read tells whether all types have been.
	Synced <-chan struct{}
	Read   func() bool
	// Before comes before each step.
	Before func()
	// First comes after the first step that was not interrupted.
	First func(ctx context.Context)
	// SendAgain sends everything again, once in the fleet for all members that ask since a time. It tells whether
	// that has begun, and logs why it has not; the finder then calls it again later.
	SendAgain func(ctx context.Context, since time.Time) (begun bool)
	// CanBeAsked tells whether the receiver can list its documents.
	CanBeAsked bool
}

// Run waits until the types have been read, then searches for what was deleted while no member watched, until ctx
// ends. Before that we write no checkpoint: it would claim deletions that no member has sent, and the others
// would believe it.
func (f *Finder) Run(ctx context.Context, a Around) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.Synced:
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	first, lost := true, lostTime{began: time.Now()}
	for {
		if a.Read() {
			a.Before()
			f.Step(ctx, time.Now())
			if ctx.Err() == nil && first {
				a.First(ctx)
				first = false
				tick.Reset(time.Second)
			}
			f.opts.Previous.Settle()
			f.sendAgain(ctx, &lost, a.SendAgain)
			f.say(a.CanBeAsked)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// say logs the findings since the last call.
func (f *Finder) say(canBeAsked bool) {
	found, unknown := f.news()
	if found > 0 {
		f.opts.Log.Info("Objects were deleted while no member watched; their documents are deleted now", "objects", found)
	}
	if len(unknown) > 0 {
		f.opts.Log.Info("Objects may have been deleted while no member watched, and neither the API server, which keeps about five "+
			"minutes of history, nor an inventory shows them", "resources", unknown, "receiverCanBeAsked", canBeAsked)
	}
}

// lostTime tells whether the states of a lost time have been sent over.
type lostTime struct {
	began, retry time.Time
	asked        bool
}

// sendAgain sends everything again, once in the fleet, when the inventory is of a lost time. The checkpoints went
// back with the cluster: they cover states that the receiver no longer has, and the inventory knows only names.
func (f *Finder) sendAgain(ctx context.Context, l *lostTime, again func(ctx context.Context, since time.Time) bool) {
	if l.asked || !f.opts.Previous.ClusterWentBack() || time.Now().Before(l.retry) {
		return
	}
	l.asked, l.retry = again(ctx, l.began), time.Now().Add(searchPause)
}
