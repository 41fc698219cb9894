package resync_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// expiring lets lists expire, each at a page.
func expiring(at map[int]int) func(context.Context, resource.Type, int, int) error {
	return func(_ context.Context, _ resource.Type, list, page int) error {
		if at[list] == page {
			return fmt.Errorf("page %d: %w", page, watch.ErrExpired)
		}
		return nil
	}
}

func TestAPartIsOfferedOnce(t *testing.T) {
	r := newRig(t, resync.Options{})
	r.exist(pods, some(7)...)
	if err := r.send(resync.Part{Type: pods}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(numbered(7), r.target.offered()); diff != "" {
		t.Error(diff)
	}
	if r.target.flushed == 0 {
		t.Error("the last batch waits to be full")
	}
}

func TestAPartThatIsLostEndsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		r.target.fill()
		lost, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- r.sender.Send(t.Context(), resync.Part{Type: pods}, lost, func(int, int) {}) }()
		synctest.Wait()
		close(lost)
		if err := <-ended; !errors.Is(err, resync.ErrLost) {
			t.Errorf("%v, want that it was lost", err)
		}
		if len(r.lister.take()) > 0 {
			t.Error("a page was asked for although there was no room")
		}
	})
}

func TestSender_PipelineIsFull_AsksForNoFurtherPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		// The receiver is full again as soon as a page is asked for.
		next := make(chan func(), 1)
		r.lister.before = func(context.Context, resource.Type, int, int) error { next <- r.target.fill(); return nil }
		room := r.target.fill()
		done := make(chan error, 1)
		go func() { done <- r.send(resync.Part{Type: pods}) }()
		for page := range 3 {
			synctest.Wait()
			if got := r.lister.take(); len(got) != 0 {
				t.Fatalf("asked for %v while the receiver is behind, %d pages read", got, page)
			}
			if n := len(r.target.offered()); n != 3*page {
				t.Fatalf("%d objects offered after %d pages", n, page)
			}
			room()
			synctest.Wait()
			if diff := cmp.Diff([]string{fmt.Sprintf("pods page %d", page+1)}, r.lister.take()); diff != "" {
				t.Fatal(diff)
			}
			room = <-next
		}
		room()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyCurrentStatesThatAreWantedAreOffered(t *testing.T) {
	r := newRig(t, resync.Options{Wants: func(_ resource.Type, _, name string) bool { return name != "o03" }})
	r.exist(pods, some(4)...)
	r.index.Upsert(pods, rec("a", "o01", 2)) // the watch was faster than the list
	r.index.Delete(pods, "a", "o02", 3)
	if err := r.send(resync.Part{Type: pods}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids("o00"), r.target.offered()); diff != "" {
		t.Error(diff)
	}
}

func TestNamespacesAreListedOneByOne(t *testing.T) {
	r := newRig(t, resync.Options{})
	r.exist(pods, rec("a", "p", 1), rec("b", "p", 1), rec("c", "p", 1))
	if err := r.send(resync.Part{Type: pods, Namespaces: []string{"a", "c"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pods in a page 1", "pods in c page 1"}, r.lister.take()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a/v1/Pod/p=1", "c/v1/Pod/p=1"}, r.target.offered()); diff != "" {
		t.Error(diff)
	}
}

func TestAListThatExpiresBeginsAgainAndOffersNothingTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		objects []resource.Record
		at      map[int]int
		want    []string
	}{
		"in the middle":       {some(7), map[int]int{1: 2}, numbered(7)},
		"again and again":     {some(20), map[int]int{1: 2, 2: 4, 3: 3, 4: 7}, numbered(20)},
		"at once":             {some(7), map[int]int{1: 1}, numbered(7)},
		"before its last one": {some(7), map[int]int{1: 3}, numbered(7)},
		"in an order that is the API server's: a slash comes after a dash": {
			[]resource.Record{rec("a-b", "y", 1), rec("a-b", "z", 1), rec("a", "x", 1), rec("a", "y", 1), rec("b", "x", 1)}, map[int]int{1: 2},
			[]string{"a-b/v1/Pod/y=1", "a-b/v1/Pod/z=1", "a/v1/Pod/x=1", "a/v1/Pod/y=1", "b/v1/Pod/x=1"},
		},
		// An aggregated API may list in any order. Then every object is offered again, so that none is left out.
		"in no order": {
			[]resource.Record{rec("a", "z", 1), rec("a", "y", 1), rec("a", "x", 1), rec("a", "w", 1)}, map[int]int{1: 2},
			ids("z", "y", "x", "z", "y", "x", "w"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{})
				r.exist(pods, tt.objects...)
				r.lister.before = expiring(tt.at)
				if err := r.send(resync.Part{Type: pods}); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tt.want, r.target.offered()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestAListThatExpiresWithoutComingFurtherIsNotAskedForAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		r.lister.before = func(_ context.Context, _ resource.Type, list, page int) error {
			if page == 2 && list < 10 {
				return watch.ErrExpired
			}
			return nil
		}
		began := time.Now()
		if err := r.send(resync.Part{Type: pods}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want 8 s: the first of nine lists that expired came further than nothing", took)
		}
	})
}

func TestSender_TypeCannotBeRead_ErrorSaysWhy(t *testing.T) {
	r := newRig(t, resync.Options{})
	r.exist(jobs, rec("a", "j", 1))
	r.lister.before = func(context.Context, resource.Type, int, int) error { return errors.New("jobs.batch is forbidden") }
	for typ, want := range map[resource.Type]string{
		missing: "its objects have not been read yet; they are sent as soon as they are",
		jobs:    "listing: asking for page 1: jobs.batch is forbidden",
	} {
		if err := r.send(resync.Part{Type: typ}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", typ, err, want)
		}
	}
}

func TestAStopEndsASend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		r.target.fill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.sender.Send(ctx, resync.Part{Type: pods}, nil, func(int, int) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want that time was up", err)
		}
	})
}

// catchesUp is a comparison whose end waits for our watch, as that with the index does.
type catchesUp struct{ watch func() }

func (catchesUp) Page([]resource.Record) {}

func (catchesUp) Reset() {}

func (c catchesUp) Settle(context.Context, uint64) (changed []resource.Record, gone []resource.ID, err error) {
	c.watch()
	return nil, nil, nil
}

// TestSender_WatchIsBehindTheList_SendsOnceItKnowsTheObjects: an object that our watch brings after the list has
// shown it is sent by the resync. Left to the watch, it would be sent after the resync had ended, or, if it soon
// returned to the state before, not at all.
func TestSender_WatchIsBehindTheList_SendsOnceItKnowsTheObjects(t *testing.T) {
	var r *rig
	r = newRig(t, resync.Options{Compare: func(resource.Type, func(namespace, name string) bool) resync.Comparison {
		return catchesUp{watch: func() {
			r.index.Upsert(pods, rec("a", "o01", 1))
			changed := rec("a", "o02", 2)
			changed.ResourceVersion = 3
			r.index.Upsert(pods, changed) // after the list
		}}
	}})
	r.exist(pods, some(3)...)
	r.index.Replace(pods, some(1), 1)
	if err := r.send(resync.Part{Type: pods}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ids("o00", "o01"), r.target.offered()); diff != "" {
		t.Error(diff)
	}
}
