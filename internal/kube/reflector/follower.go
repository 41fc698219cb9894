package reflector

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	// leastWatch is how long the server is asked to keep a watch open at least; it is twice that at most, so that a
	// thousand watches do not end together. It is as client-go has it.
	leastWatch = 5 * time.Minute
	// resetAfter is how long after a pause the pauses are short again. It is as client-go has it.
	resetAfter = 2 * time.Minute
)

// Requester makes the requests of a [Follower], one at a time.
type Requester interface {
	List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	// Watch opens a stream. An error that is [ErrSilent] has it asked for again at once, from the same version.
	Watch(ctx context.Context, opts metav1.ListOptions) (*Stream, error)
}

// Follower keeps a store in step with what one list and its watch bring. Make one with [NewFollower].
//
// A Reflector, client-go's and unmodified, takes each list, with all that this may need: streams that end in the
// middle, pages, expired versions. Then it ends, and the goroutine of Run takes what changes from the stream itself. A
// Reflector that stays has two goroutines more and a deep stack: 12 KiB for each of a thousand types at rest. It
// also hands each event from one goroutine to another.
//
//	           complete list
//	┌─────────┐             ┌───────────┐ ended by the server, or silent: at once
//	│ listing │────────────▶│ following │─┐
//	└─────────┘             └───────────┘ │ refused or throttled: after a pause
//	 │ ▲  ▲                     │      ▲  │
//	 └─┘  └─────────────────────┘      └──┘ from the last version
//	error:   any other error, an expired
//	a pause  version too: after a pause
type Follower struct {
	name      string
	requests  Requester
	store     cache.ReflectorStore
	reflector *cache.Reflector
	reach     *Reach
	log       logr.Logger

	// What follows belongs to the goroutine of Run.

	attempt attempt
	delay   wait.DelayFunc // nil while the next pause is a short one
	woken   bool           // a pause has been cut short since the store was told something
	version string         // up to which the store has everything
	began   time.Time      // of the last list or, later, request for a watch
	ordered bool           // events come in the order of versions; those of a watch from no version do not at first
}

// FollowerOptions of a [Follower]. The zero value logs nothing.
type FollowerOptions struct {
	// Client tells by its type whether lists can be streamed.
	Client any
	// Reach shortens pauses; nil does not.
	Reach *Reach
	// Log is told about retries, at V(1) and V(2): the requests know all errors, and decide what a person is told.
	Log logr.Logger
}

// NewFollower returns a Follower that has not been run. Name is for its log messages.
func NewFollower(name string, requests Requester, store cache.ReflectorStore, opts FollowerOptions) *Follower {
	f := &Follower{name: name, requests: requests, store: store, reach: opts.Reach, log: opts.Log}
	lists := &cache.ListWatch{ListWithContextFunc: f.listPage, WatchFuncWithContext: f.listStream}
	lw := cache.ToListWatcherWithWatchListSemantics(lists, opts.Client)
	f.reflector = newReflector(name, lw, listStore{store, f}, quietLogger(opts.Log), clock.RealClock{}, retry)
	return f
}

// Run lists and follows until ctx is done. It is called once. A list that is in progress at the end is not waited for;
// it sees its context end.
//
// There may be a thousand of these goroutines. Their stacks have grown by what lists and events have led to, and
// shrink by half as long as less than a quarter is in use: to 4 KiB if all that waits for an event needs less than
// some 1,200 bytes. So whatever else is done is done in functions that have returned by then.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := f.list(ctx)
		if err == nil {
			err = f.follow(ctx, s)
		}
		f.pause(ctx, err)
	}
}

// follow takes what changes until everything has to be listed, and returns why. The stream may be nil.
func (f *Follower) follow(ctx context.Context, s *Stream) error {
	f.began = time.Now()
	for s != nil || ctx.Err() == nil { // an open stream is closed in any case
		var err error
		if s == nil {
			s, err = f.watch(ctx)
		}
		if err == nil {
			err = f.take(s)
			s.Close()
		}
		s = nil
		switch {
		case err == nil, errors.Is(err, ErrSilent): // a list would cost more, and tell nothing else
		case isRetriable(err):
			f.pause(ctx, err)
		default:
			return err
		}
	}
	return nil
}

// isRetriable tells whether a watch may go on from its last version although it was answered with an error. It is as
// client-go has it.
func isRetriable(err error) bool {
	return utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
}

// watch asks for what has changed since the last version.
//
//go:noinline // see Run
func (f *Follower) watch(ctx context.Context) (*Stream, error) {
	f.began = time.Now()
	timeout := int64(leastWatch.Seconds() * (1 + rand.Float64()))
	return f.requests.Watch(ctx, metav1.ListOptions{ResourceVersion: f.version, TimeoutSeconds: &timeout, AllowWatchBookmarks: true})
}

// take takes what a stream brings until that is over. An error is one that the server has sent, or [ErrShort].
func (f *Follower) take(s *Stream) error {
	empty := true
	for {
		ev, ok := s.Next()
		switch {
		case !ok && empty && time.Since(f.began) < time.Second:
			return ErrShort
		case !ok:
			return nil
		case ev.Type == apiwatch.Error:
			return apierrors.FromObject(ev.Object)
		}
		if f.apply(ev) {
			empty = false
		}
	}
}

// apply tells the store of an event, and returns false for one of no object.
//
//go:noinline // see Run
func (f *Follower) apply(ev apiwatch.Event) bool {
	o, err := meta.Accessor(ev.Object)
	if err != nil {
		f.misunderstood(ev, err)
		return false
	}
	version := o.GetResourceVersion()
	if err := f.tell(ev, version); err != nil {
		f.misunderstood(ev, err)
	}
	f.woken = false
	f.ordered = f.ordered || ev.Type != apiwatch.Added
	if f.ordered {
		f.version = version
	}
	return true
}

func (f *Follower) misunderstood(ev apiwatch.Event, err error) {
	f.log.V(1).Info("Event cannot be understood", "reflector", f.name, "event", ev.Type, "err", err.Error())
}

// tell calls the store.
func (f *Follower) tell(ev apiwatch.Event, version string) error {
	switch ev.Type {
	case apiwatch.Added:
		return f.store.Add(ev.Object)
	case apiwatch.Modified:
		return f.store.Update(ev.Object)
	case apiwatch.Deleted:
		return f.store.Delete(ev.Object)
	case apiwatch.Bookmark:
		if b, ok := f.store.(cache.ReflectorBookmarkStore); ok {
			return b.Bookmark(version)
		}
		return nil
	case apiwatch.Error: // It has ended the stream.
	}
	return errUnknownEvent
}

var errUnknownEvent = errors.New("its type is unknown")

// pause waits before what has failed is tried again, or until ctx is done. If the API server could not be reached,
// another's answer cuts it short: once, for where it answers some and not others, this would be no pause at all.
//
//go:noinline // see Run
func (f *Follower) pause(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		f.log.V(1).Info("Listing or watching is tried again", "reflector", f.name, "err", err.Error())
	}
	if f.delay == nil {
		f.delay = retry.DelayWithReset(clock.RealClock{}, resetAfter)
	}
	answer := &wave{}
	if isUnreachable(err) && !f.woken {
		answer = f.reach.wait()
	}
	over := time.After(f.delay())
	select {
	case <-over:
		f.reach.leave(answer)
		return
	case <-ctx.Done():
		f.reach.leave(answer)
		return
	case <-answer.back:
	}
	f.woken, f.delay = true, nil
	select {
	case <-over:
	case <-ctx.Done():
	case <-time.After(answer.turn()):
	}
}
