package reflector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// ListTimeout bounds one request of a list. API servers have a bound of a minute themselves.
const ListTimeout = 65 * time.Second

// Source makes the requests of one Reflector. Both are required.
type Source struct {
	List  func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error)
	Watch func(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error)
}

// Options of a [Guard]. The zero value streams no list and logs nothing.
type Options struct {
	// Client tells by its type whether lists can be streamed. If it is nil, lists come in pages, which is as good
	// for a handful of objects.
	Client any
	// Admit is called before each request, and may block until the request is allowed. If it is nil, every request
	// is made at once.
	Admit func(ctx context.Context) error
	// Retry is the backoff of retries; the zero value is that of a [Follower].
	Retry wait.Backoff
	// Rewound is called when versions have begun anew, before the list that follows. It may be nil and must not
	// block.
	Rewound func()
	// Metrics counts silent watches, given up lists and restores; nil counts nothing.
	Metrics *Metrics
	// Log gets retries, at V(1) and V(2).
	Log logr.Logger
}

// Guard runs one Reflector and notices when its stream dies. Make one with [NewGuard].
type Guard struct {
	name     string
	source   Source
	store    cache.ReflectorStore
	opts     Options
	resume   Resume
	requests Requests

	mu      sync.Mutex // guards current
	current *Piped
}

// NewGuard returns a Guard that has not been run. Name is the stream's name in metrics.
func NewGuard(name string, source Source, store cache.ReflectorStore, opts Options) *Guard {
	if opts.Retry.Steps == 0 {
		opts.Retry = retry
	}
	return &Guard{name: name, source: source, store: store, opts: opts}
}

// Run reflects into the store until ctx is done. No request is in progress when it returns. It is called once.
func (g *Guard) Run(ctx context.Context) {
	quiet := quietLogger(g.opts.Log)
	newReflector(g.name, g.ListerWatcher(), g.store, quiet, stopClock{ctx: ctx}, g.opts.Retry).RunWithContext(klog.NewContext(ctx, quiet))
	g.requests.End()
}

// ListerWatcher returns the guarded requests, for a Reflector that the caller runs. Requests that the Reflector
// leaves behind end by themselves.
func (g *Guard) ListerWatcher() cache.ListerWatcher {
	lw := &cache.ListWatch{ListWithContextFunc: g.list, WatchFuncWithContext: g.watch}
	if g.opts.Client == nil {
		return plain{lw}
	}
	return cache.ToListWatcherWithWatchListSemantics(lw, g.opts.Client)
}

// plain makes a Reflector ask for a plain list and then for a watch.
type plain struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported tells client-go not to stream lists.
func (plain) IsWatchListSemanticsUnSupported() bool { return true }

// Relist makes the Reflector list anew, without regard to a version, and watch from there. It returns at once.
func (g *Guard) Relist() {
	g.resume.Anew()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil {
		g.current.Stop()
	}
}

func (g *Guard) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if !g.requests.Begin() {
		return nil, ErrEnded
	}
	defer g.requests.Done()
	if err := g.admit(ctx); err != nil {
		return nil, err
	}
	g.resume.List(&opts)
	ctx, cancel := context.WithTimeoutCause(ctx, ListTimeout, ErrSilent)
	defer cancel()
	list, err := g.source.List(ctx, opts)
	if err != nil {
		return nil, err
	}
	if m, err := meta.ListAccessor(list); err == nil && m.GetContinue() == "" {
		g.resume.Listed()
	}
	return list, nil
}

func (g *Guard) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	if !g.requests.Begin() {
		return nil, ErrEnded
	}
	if err := g.admit(ctx); err != nil {
		g.requests.Done()
		return nil, err
	}
	initial := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	if initial {
		g.resume.List(&opts)
	} else if rewound, err := g.resume.Check(ctx, opts.ResourceVersion, g.probe); err != nil {
		defer g.requests.Done()
		if rewound {
			g.opts.Metrics.Restored(g.name)
			call(g.opts.Rewound)
		}
		return g.unwatched(err, initial)
	}
	inner, release, err := Open(ctx, func(ctx context.Context) (apiwatch.Interface, error) { return g.source.Watch(ctx, opts) }, answerWithin(initial))
	if err != nil {
		defer g.requests.Done()
		g.resume.Failed()
		return g.unwatched(err, initial)
	}
	s := pipe(NewStream(ctx, inner, StreamOptions{
		Listing: initial, Until: Until(opts), Resume: &g.resume,
		Hooks: Hooks{
			Silent:  func() { g.opts.Metrics.Silent(g.name) },
			GivenUp: func() { g.opts.Metrics.GivenUp(g.name) },
		},
	}, func() { release(); g.requests.Done() }), false)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = s
	return s, nil
}

// admit waits until a request may be made.
func (g *Guard) admit(ctx context.Context) error {
	if g.opts.Admit == nil {
		return nil
	}
	return g.opts.Admit(ctx)
}

// unwatched returns the answer to a Reflector whose watch request has failed.
func (g *Guard) unwatched(err error, initial bool) (apiwatch.Interface, error) {
	if !errors.Is(err, ErrSilent) {
		return nil, err
	}
	g.opts.Metrics.Silent(g.name)
	if initial {
		return nil, err
	}
	return apiwatch.NewEmptyWatch(), nil // an error would cause a new list
}

// probe returns the version of a consistent list.
func (g *Guard) probe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ListTimeout, ErrSilent)
	defer cancel()
	list, err := g.source.List(ctx, Probe())
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, ErrSilent) {
			err = cause
		}
		return "", err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return "", fmt.Errorf("reading the version of a list: %w", err)
	}
	return m.GetResourceVersion(), nil
}

// Until returns when the server ends a watch by itself.
func Until(opts metav1.ListOptions) time.Time {
	if opts.TimeoutSeconds == nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(*opts.TimeoutSeconds) * time.Second)
}

// Open asks for a watch. If no answer comes within a time, it returns an error that is [ErrSilent]. release ends
// the request, and must be called after the watch has ended.
func Open(ctx context.Context, ask func(context.Context) (apiwatch.Interface, error), within time.Duration) (w apiwatch.Interface, release func(), err error) {
	reqCtx, cancel := context.WithCancelCause(ctx)
	giveUp := time.AfterFunc(within, func() { cancel(ErrSilent) })
	w, err = ask(reqCtx)
	answered := giveUp.Stop()
	if err == nil && !answered {
		w.Stop() // the answer came after the timeout
		err = ErrSilent
	}
	if err == nil {
		return w, func() { cancel(nil) }, nil
	}
	defer cancel(nil)
	if ctx.Err() == nil && errors.Is(context.Cause(reqCtx), ErrSilent) {
		err = ErrSilent
	}
	return nil, nil, err
}

// answerWithin returns how long the server may take to begin its answer. A streamed list begins at once. Some
// proxies hold back the beginning of a watch until its first event.
func answerWithin(initial bool) time.Duration {
	if initial {
		return ListWithin
	}
	return Silence
}
