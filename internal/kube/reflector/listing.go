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
	ctx      context.Context    // the context of Run: streams outlive the Reflector's context
	end      context.CancelFunc // ends the Reflector's context
	stream   *Piped             // the stream that the Reflector takes a list from
	refused  error              // the error of opening a stream, if a plain list would fail, too
	complete bool               // the store has taken a list
}

// errRefused ends an attempt whose stream was refused.
var errRefused = errors.New("stream was refused or throttled")

// errUnlisted means that an attempt has ended without a list and without an error, because its context has
// ended.
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

// listPage requests a page of a plain list. A list from the version of the Reflector's last list could be too
// old, because the store has followed changes since.
func (f *Follower) listPage(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if err := f.attempt.refused; err != nil {
		return nil, err
	}
	f.notBefore(&opts)
	return f.requests.List(ctx, opts)
}

// listStream opens the stream of a list. After a retriable error, a Reflector would wait and open another
// stream. Follower.pause is to wait instead, so the Reflector gets another error, and asks for a plain list.
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

// notBefore raises the least version of a list from the Reflector's last list to the last followed change.
func (f *Follower) notBefore(opts *metav1.ListOptions) {
	if opts.ResourceVersion != "" && opts.ResourceVersion != "0" && f.version != "" {
		opts.ResourceVersion = f.version
	}
}

// lent is a stream that a Reflector uses for a list. The Reflector stops it at its end, but after a complete
// list the stream goes on without the Reflector.
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

// listStore takes the list of a Reflector.
type listStore struct {
	cache.ReflectorStore
	follower *Follower
}

var _ cache.TransformingStore = listStore{}

// Transformer returns the Transformer of the store beneath, or nil.
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
		f.attempt.drop() // client-go does not stop the stream, and asks for a plain list
		return err
	}
	f.version, f.ordered = version, version != "" && version != "0"
	f.woken = false
	f.attempt.complete = true
	f.attempt.end()
	return nil
}
