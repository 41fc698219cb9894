package reflector_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// answer is the answer of a scripted server to one request of any kind.
type answer struct {
	noVersion bool           // the list has no version
	err       error          // the error of the request
	changes   int            // the changes that a stream brings, after the list if it begins with one
	endless   bool           // no bookmark ends the list of the stream
	sent      error          // the error that a stream brings in the end
	lasts     time.Duration  // until a stream is closed
	open      bool           // a stream stays open
	object    apiwatch.Event // one more event of a stream, if it has a type
}

var gvr = schema.GroupResource{Resource: "things"}

func refused() error { return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }

// script is a server with prepared answers, and a store. It records requests and calls.
type script struct {
	opened   atomic.Int32 // streams that have not been released
	replaced func()       // called when the store has taken a list; may be nil

	mu      sync.Mutex // guards the fields below
	answers []answer
	version int
	trace   []string
	ended   time.Time // the end of the last answer
}

func (s *script) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

// asked notes a request and returns its answer. After the last answer, streams stay open.
func (s *script) asked(what string, opts metav1.ListOptions) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	paused := time.Since(s.ended) >= 700*time.Millisecond
	s.trace = append(s.trace, fmt.Sprintf("%s from %q limit %d paused %v", what, opts.ResourceVersion, opts.Limit, paused))
	s.ended = time.Now()
	if len(s.answers) == 0 {
		return answer{open: true}
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a
}

func (s *script) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	return strconv.Itoa(s.version)
}

// List answers a plain list.
func (s *script) List(_ context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	a := s.asked("list", opts)
	if a.err != nil {
		return nil, a.err
	}
	list := &metav1.PartialObjectMetadataList{}
	if list.ResourceVersion = s.next(); a.noVersion {
		list.ResourceVersion = ""
	}
	list.Items = []metav1.PartialObjectMetadata{object("listed", list.ResourceVersion)}
	return list, nil
}

func object(name, version string) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
}

// open answers a watch.
func (s *script) open(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	initial, what := opts.SendInitialEvents != nil, "watch"
	if initial {
		what = "stream"
	}
	a := s.asked(what, opts)
	if a.err != nil {
		return nil, a.err
	}
	events := make(chan apiwatch.Event)
	w := apiwatch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		s.bring(ctx, a, initial, func(kind apiwatch.EventType, o runtime.Object) {
			select {
			case events <- apiwatch.Event{Type: kind, Object: o}:
			case <-w.StopChan():
			case <-ctx.Done():
			}
		})
		if a.open {
			select {
			case <-w.StopChan():
			case <-ctx.Done():
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = time.Now()
	}()
	return w, nil
}

// bring sends the events of a stream.
func (s *script) bring(ctx context.Context, a answer, initial bool, send func(apiwatch.EventType, runtime.Object)) {
	o := func(name string) *metav1.PartialObjectMetadata {
		o := object(name, s.next())
		return &o
	}
	if initial {
		send(apiwatch.Added, o("initial"))
		if !a.endless {
			end := o("")
			end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
			send(apiwatch.Bookmark, end)
		}
	}
	for i := range a.changes {
		send([]apiwatch.EventType{apiwatch.Added, apiwatch.Modified, apiwatch.Bookmark, apiwatch.Deleted}[i%4], o(fmt.Sprint("o", i)))
	}
	if a.object.Type != "" {
		send(a.object.Type, a.object.Object)
	}
	select {
	case <-time.After(a.lasts):
	case <-ctx.Done():
	}
	if a.sent != nil {
		var status apierrors.APIStatus
		if errors.As(a.sent, &status) {
			st := status.Status()
			send(apiwatch.Error, &st)
		}
	}
}

// Watch implements [reflector.Requester].
func (s *script) Watch(ctx context.Context, opts metav1.ListOptions) (*reflector.Stream, error) {
	w, err := s.open(ctx, opts)
	if err != nil {
		return nil, err
	}
	s.opened.Add(1)
	never := 2 * time.Hour
	return reflector.NewStream(ctx, w, reflector.StreamOptions{
		Listing: opts.SendInitialEvents != nil, Silence: never, ListWithin: never,
	}, func() { s.opened.Add(-1) }), nil
}

// told is a store that records its calls.
type told struct{ *script }

func (s told) change(what string, obj any) error {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("%T is no object", obj)
	}
	s.note("%s %s at %s", what, o.Name, o.ResourceVersion)
	return nil
}

func (s told) Add(obj any) error    { return s.change("add", obj) }
func (s told) Update(obj any) error { return s.change("update", obj) }
func (s told) Delete(obj any) error { return s.change("delete", obj) }
func (s told) Resync() error        { return nil }
func (s told) Bookmark(version string) error {
	s.note("bookmark %s", version)
	return nil
}

func (s told) Replace(objs []any, version string) error {
	s.note("replace by %d at %s", len(objs), version)
	if s.replaced != nil {
		s.replaced()
	}
	return nil
}

// following runs a Follower over a script for an hour, and returns its requests and its calls of the store.
func following(t *testing.T, answers []answer) []string {
	return traced(t, answers, func(ctx context.Context, s *script) {
		reflector.NewFollower("things", s, told{s}, reflector.FollowerOptions{Client: s}).Run(ctx)
	})
}

// reflecting does the same with a Reflector.
func reflecting(t *testing.T, answers []answer) []string {
	return traced(t, answers, func(ctx context.Context, s *script) {
		watch := func(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
			stream, err := s.Watch(ctx, opts)
			if err != nil {
				return nil, err
			}
			return reflector.Pipe(stream), nil
		}
		lw := &cache.ListWatch{ListWithContextFunc: s.List, WatchFuncWithContext: watch}
		log := logr.Discard()
		cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s), nil, told{s}, cache.ReflectorOptions{Logger: &log, Name: "things"}).RunWithContext(klog.NewContext(ctx, log))
	})
}

func traced(t *testing.T, answers []answer, run func(context.Context, *script)) (trace []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s := &script{answers: append([]answer(nil), answers...), ended: time.Now()}
		run(ctx, s)
		synctest.Wait()
		if n := s.opened.Load(); n != 0 {
			t.Errorf("%d streams are open after the end", n)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		trace = s.trace
	})
	return trace
}

// aScript returns answers at random.
func aScript(rng *rand.Rand) []answer {
	errs := []error{
		nil, nil, nil, nil, nil, refused(), apierrors.NewTooManyRequests("later", 1), apierrors.NewResourceExpired("too old"),
		apierrors.NewInternalError(errDown), apierrors.NewNotFound(gvr, ""), errDown,
	}
	var answers []answer
	for range 1 + rng.IntN(12) {
		a := answer{err: errs[rng.IntN(len(errs))], changes: rng.IntN(6), endless: rng.IntN(6) == 0}
		if rng.IntN(3) == 0 {
			a.lasts = 2 * time.Second
		}
		if rng.IntN(3) == 0 {
			a.sent = errs[rng.IntN(len(errs))]
		}
		switch rng.IntN(12) {
		case 0:
			a.object = apiwatch.Event{Type: apiwatch.Modified, Object: &metav1.Status{}}
		case 1:
			a.object = apiwatch.Event{Type: "UNHEARD-OF", Object: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}}
		}
		answers = append(answers, a)
	}
	return answers
}

// TestAFollowerAsksAndTellsAsAReflectorDoes compares a Follower with client-go's own Reflector. For all answers
// of a server, both make the same requests from the same version, at once or after a pause. Both call the store
// in the same way.
func TestAFollowerAsksAndTellsAsAReflectorDoes(t *testing.T) {
	for seed := range uint64(500) {
		want := reflecting(t, aScript(rand.New(rand.NewPCG(seed, 1))))
		got := following(t, aScript(rand.New(rand.NewPCG(seed, 1))))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-Reflector +Follower):\n%s", seed, diff)
		}
	}
}

// TestAFollowerThatIsStoppedWhileAListIsTakenLeavesNothingOpen stops a Follower in a streamed list, and one in a
// paged list.
func TestAFollowerThatIsStoppedWhileAListIsTakenLeavesNothingOpen(t *testing.T) {
	for name, answers := range map[string][]answer{"streamed": nil, "paged": {{err: errDown}}} {
		t.Run(name, func(t *testing.T) {
			trace := traced(t, answers, func(ctx context.Context, s *script) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				s.replaced = cancel
				reflector.NewFollower("things", s, told{s}, reflector.FollowerOptions{Client: s}).Run(ctx)
			})
			if want := 2 + len(answers); len(trace) != want {
				t.Errorf("asked and told %q, want %d lines", trace, want)
			}
		})
	}
}

// TestAWatchFromNoVersionGoesOnFromOneThatIsNoneOfAList: the first events bring all objects, in no order.
func TestAWatchFromNoVersionGoesOnFromOneThatIsNoneOfAList(t *testing.T) {
	got := following(t, []answer{{err: errDown}, {noVersion: true}, {changes: 1, lasts: 2 * time.Second}, {changes: 2, lasts: 2 * time.Second}})
	want := []string{
		`stream from "" limit 0 paused false`, `list from "0" limit 500 paused false`, "replace by 1 at ",
		`watch from "" limit 0 paused false`, "add o0 at 2",
		`watch from "" limit 0 paused false`, "add o0 at 3", "update o1 at 4",
		`watch from "4" limit 0 paused false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("asked and told (-want +got):\n%s", diff)
	}
}

// TestFollower_ServerIsBackWithoutTheVersion_ListsSoon: a server that restarts does not remember the last version. The
// list that is needed then does not wait for as long as the pauses had grown to while there was no server.
func TestFollower_ServerIsBackWithoutTheVersion_ListsSoon(t *testing.T) {
	down := answer{err: refused()}
	answers := []answer{{lasts: 2 * time.Second}, down, down, down, {sent: apierrors.NewResourceExpired("too old")}, {open: true}}
	var lists []time.Duration
	traced(t, answers, func(ctx context.Context, s *script) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		began := time.Now()
		s.replaced = func() {
			if lists = append(lists, time.Since(began)); len(lists) == 2 {
				cancel()
			}
		}
		reflector.NewFollower("things", s, told{s}, reflector.FollowerOptions{Client: s}).Run(ctx)
	})
	// Three pauses of 5.6 to 8.4 s in all, and a short one. The fourth in the row would be 6.4 s at least.
	if len(lists) != 2 || lists[1] >= 13*time.Second {
		t.Errorf("lists were complete after %v, want two, the last within 13 s", lists)
	}
}
