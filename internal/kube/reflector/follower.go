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
	// leastWatch is the least time for which a request asks the server to keep a watch open. A request asks for up
	// to twice that, so that a thousand watches do not end together. The value is client-go's.
	leastWatch = 5 * time.Minute
	// resetAfter is the time after a pause from which on pauses are short again. The value is client-go's.
	resetAfter = 2 * time.Minute
)

// Requester makes the requests of a [Follower], one at a time.
type Requester interface {
	List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	// Watch opens a stream. After an error that is [ErrSilent], the Follower asks again at once, from the same
	// version.
	Watch(ctx context.Context, opts metav1.ListOptions) (*Stream, error)
}

// Follower keeps a store in step with one list and its watch. Make one with [NewFollower].
//
// client-go's unmodified Reflector takes each list, and handles streams that end in the middle, pages and
// expired versions. Then it ends, and the goroutine of Run takes the changes from the stream itself. A Reflector
// that stayed would cost two more goroutines and a deep stack: 12 KiB for each of a thousand types at rest. It
// would also hand each event from one goroutine to another.
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

	// The fields below belong to the goroutine of Run.

	attempt attempt
	delay   wait.DelayFunc // nil while the next pause is a short one
	woken   bool           // a pause has been cut short since the last call to the store
	away    bool           // the server could not be reached before the last pause
	version string         // the store has every change up to this version
	began   time.Time      // the start of the last list or, after that, of the last request for a watch
	ordered bool           // events come in the order of versions; the first events of a watch without a version do not
}

// FollowerOptions of a [Follower]. The zero value logs nothing.
type FollowerOptions struct {
	// Client tells by its type whether lists can be streamed.
	Client any
	// Reach shortens pauses; nil shortens none.
	Reach *Reach
	// Log gets retries, at V(1) and V(2): the requests see all errors, and decide which of them an operator gets to
	// see.
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

// Run lists and follows until ctx is done. It is called once. It does not wait for a list in progress, whose
// context ends.
//
// A process may have a thousand of these goroutines. Lists and events have made their stacks grow. A stack
// shrinks by half while less than a quarter is in use. It shrinks to 4 KiB if the frames that wait for an event
// need less than some 1,200 bytes. So all other work is done in functions that have returned before the wait.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := f.list(ctx)
		if err == nil {
			err = f.follow(ctx, s)
		}
		f.pause(ctx, err)
	}
}

// follow takes changes until a list is needed, and returns the reason. The stream may be nil.
func (f *Follower) follow(ctx context.Context, s *Stream) error {
	f.began = time.Now()
	for s != nil || ctx.Err() == nil { // an open stream is closed even after the end of ctx
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
		case err == nil, errors.Is(err, ErrSilent): // the next watch brings the same as a list, and costs less
		case isRetriable(err):
			f.pause(ctx, err)
		default:
			return err
		}
	}
	return nil
}

// isRetriable tells whether a watch may go on from its last version after an error. The rule is client-go's.
func isRetriable(err error) bool {
	return utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
}

// isExpired tells whether the server does not remember a version, as after its own restart.
func isExpired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

// watch asks for the changes since the last version.
//
//go:noinline // see Run
func (f *Follower) watch(ctx context.Context) (*Stream, error) {
	f.began = time.Now()
	timeout := int64(leastWatch.Seconds() * (1 + rand.Float64()))
	return f.requests.Watch(ctx, metav1.ListOptions{ResourceVersion: f.version, TimeoutSeconds: &timeout, AllowWatchBookmarks: true})
}

// take takes the events of a stream until the stream is over. It returns an error that the server has sent, or
// [ErrShort].
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

// apply passes an event to the store, and returns false for an event without an object.
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
	case apiwatch.Error: // take returns at an error event.
	}
	return errUnknownEvent
}

var errUnknownEvent = errors.New("its type is unknown")

// pause waits before a retry, or until ctx is done. If the API server could not be reached, its answer to
// another Follower cuts the pause short, but only once. Without that bound, a server that answers only some
// requests would leave no pause at all.
//
//go:noinline // see Run
func (f *Follower) pause(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		f.log.V(1).Info("Listing or watching is tried again", "reflector", f.name, "err", err.Error())
	}
	if isExpired(err) && f.away {
		f.delay = nil // The pauses have grown while there was no server. This one has just answered.
	}
	f.away = isUnreachable(err)
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
