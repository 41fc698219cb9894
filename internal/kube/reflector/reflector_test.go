package reflector_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

func TestMain(m *testing.M) {
	// The second handler delays errors by the time since the last one, process-wide, but a new bubble goes back in
	// time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	goleak.VerifyTestMain(m)
}

var errDown = errors.New("down")

// failing makes requests that all fail, and notes the times of lists.
type failing struct {
	began time.Time
	lists []time.Duration
}

func (f *failing) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	f.lists = append(f.lists, time.Since(f.began))
	return nil, errDown
}

func (f *failing) Watch(context.Context, metav1.ListOptions) (*reflector.Stream, error) {
	return nil, errDown
}

// run runs a Follower whose requests all fail, for a time, and returns the times of its lists and its log.
func run(t *testing.T, verbosity int, d time.Duration) (lists []time.Duration, logged []string) {
	t.Helper()
	log := funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{Verbosity: verbosity})
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	f := &failing{began: time.Now()}
	reflector.NewFollower("widgets", f, cache.NewStore(cache.MetaNamespaceKeyFunc), reflector.FollowerOptions{Client: f, Log: log}).Run(ctx)
	return f.lists, logged
}

func TestFollower_ListsFail_RetriesWithinHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists, _ := run(t, 0, time.Hour)
		if len(lists) < 150 || len(lists) > 350 {
			t.Errorf("tried %d times in an hour, want some eight in each two minutes", len(lists))
		}
		for i := 1; i < len(lists); i++ {
			if gap := lists[i] - lists[i-1]; gap > 30*time.Second {
				t.Errorf("%s between two attempts, want 30 s at most", gap)
			}
		}
	})
}

func TestAttemptsAreNotLoggedUnlessAskedFor(t *testing.T) {
	for verbosity, want := range map[int]bool{0: false, 1: true, 2: true} {
		t.Run(fmt.Sprint("verbosity ", verbosity), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, logged := run(t, verbosity, time.Minute); (len(logged) > 0) != want {
					t.Errorf("logged %q", logged)
				}
			})
		})
	}
}

func TestEndWaitsForRequestsAndLetsNoneBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			r     reflector.Requests
			ended = make(chan struct{})
			state = func() bool {
				synctest.Wait()
				select {
				case <-ended:
					return true
				default:
					return false
				}
			}
		)
		first, second := r.Begin(), r.Begin()
		if !first || !second {
			t.Fatal("a request may not begin, want it to before the end")
		}
		go func() { r.End(); close(ended) }()
		r.Done()
		got := []bool{state(), r.Begin()}
		r.Done()
		if diff := cmp.Diff([]bool{false, false, true}, append(got, state())); diff != "" {
			t.Errorf("ended with one in progress, begun after the end, ended with none (-want +got):\n%s", diff)
		}
	})
}
