package reflector

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// attempt is one attempt of a Follower's Reflector to list. The goroutine of Run alone uses it.
type attempt struct {
	ctx      context.Context    // of Run: streams outlive the Reflector's
	end      context.CancelFunc // ends the Reflector's
	stream   *Piped             // that the Reflector takes a list from
	refused  error              // why no stream could be opened, if a plain list need not be tried either
	complete bool               // the store has taken a list
}

// errRefused ends an attempt whose stream was refused.
var errRefused = errors.New("stream was refused or throttled")

// errUnlisted is an attempt to list that has ended without a list and without an error: its context has ended.
var errUnlisted = errors.New("list was not completed")

// list makes one attempt to list. It returns the stream that the list came from, or nil if it came in pages.
//
//go:noinline // see Run
func (f *Follower) list(ctx context.Context) (*Stream, error) {
	reflecting, end := context.WithCancel(ctx)
	defer end()
	f.attempt = attempt{ctx: ctx, end: end}
	err := f.reflector.ListAndWatchWithContext(klog.NewContext(reflecting, quietLogger(f.log)))
	a := &f.attempt
	switch {
	case a.complete:
		stream := a.stream
		*a = attempt{}
		if stream == nil {
			return nil, nil
		}
		return stream.rest(), nil
	case err == nil:
		err = errUnlisted
	}
	a.drop()
	return nil, err
}

// drop gives up the stream.
func (a *attempt) drop() {
	if a.stream != nil {
		a.stream.Stop()
		a.stream = nil
	}
}

// listPage makes a request of a plain list. Not older than the Reflector's last list is not enough: the store
// has followed from there.
func (f *Follower) listPage(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if err := f.attempt.refused; err != nil {
		return nil, err
	}
	f.notBefore(&opts)
	return f.requests.List(ctx, opts)
}

// listStream opens the stream of a list. After an error that is retriable a Reflector waits and opens another one: that
// is left to pause, so the Reflector is told another error, and asks for a plain list.
func (f *Follower) listStream(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	f.notBefore(&opts)
	s, err := f.requests.Watch(f.attempt.ctx, opts)
	if isRetriable(err) {
		f.attempt.refused = err
		return nil, errRefused
	}
	if err != nil {
		return nil, err
	}
	f.attempt.stream = pipe(s, true)
	return lent{f.attempt.stream, &f.attempt}, nil
}

// notBefore has a list that is not to be older than the Reflector's last one not be older than what has been followed.
func (f *Follower) notBefore(opts *metav1.ListOptions) {
	if opts.ResourceVersion != "" && opts.ResourceVersion != "0" && f.version != "" {
		opts.ResourceVersion = f.version
	}
}

// lent is a stream in the hands of a Reflector, which stops it. When the list is complete the stream is not its own any
// more.
type lent struct {
	*Piped
	attempt *attempt
}

// Stop ends the stream unless it has brought a list.
func (w lent) Stop() {
	if !w.attempt.complete {
		w.attempt.drop()
	}
}

// listStore is where a Reflector puts a list.
type listStore struct {
	cache.ReflectorStore
	follower *Follower
}

var _ cache.TransformingStore = listStore{}

// Transformer is the store's own.
func (s listStore) Transformer() cache.TransformFunc {
	if t, ok := s.ReflectorStore.(cache.TransformingStore); ok {
		return t.Transformer()
	}
	return nil
}

// Replace hands a complete list to the store, and ends the Reflector.
func (s listStore) Replace(items []any, version string) error {
	f := s.follower
	if err := s.ReflectorStore.Replace(items, version); err != nil {
		f.attempt.drop() // client-go does not stop it, and asks for a plain list
		return err
	}
	f.version, f.ordered = version, version != "" && version != "0"
	f.woken = false
	f.attempt.complete = true
	f.attempt.end()
	return nil
}
