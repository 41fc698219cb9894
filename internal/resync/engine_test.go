package resync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

func all(types ...resource.Type) func() []resource.Type {
	return func() []resource.Type { return types }
}

// wantNext compares when the next full resync is due; 0 means that none is.
func wantNext(t *testing.T, e *resync.Engine, want time.Duration) {
	t.Helper()
	synctest.Wait()
	at, ok := e.Next()
	if got := time.Until(at); ok != (want > 0) || ok && got != want {
		t.Errorf("next full resync in %v (%v), want %v", got, ok, want)
	}
}

func TestAFullResyncRunsEveryInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{Interval: time.Hour, All: all(pods)})
		r.exist(pods, some(1)...)
		wantNext(t, r.engine, time.Hour)
		time.Sleep(59 * time.Minute)
		if got := r.engine.List(); len(got) != 0 {
			t.Fatalf("too early: %+v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := r.engine.List()
		if len(got) != 1 || got[0].Request.Trigger != resync.Scheduled || got[0].Status != resync.Done {
			t.Fatalf("%+v", got)
		}
		wantNext(t, r.engine, time.Hour)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := r.engine.List(); len(got) != 4 {
			t.Errorf("%d operations in four hours", len(got))
		}
	})
}

// TestTheScheduleCountsFromTheLastFullResync: one that a person asked for moves it, one of a part does not, and while
// one is under way none is due.
func TestTheScheduleCountsFromTheLastFullResync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{Interval: time.Hour, All: all(pods)})
		r.exist(pods, some(1)...)
		time.Sleep(30 * time.Minute)
		r.run(resync.Request{Types: []resource.Type{pods}, Label: "pods"})
		r.run(resync.Request{Types: []resource.Type{pods}, Namespace: "a"})
		wantNext(t, r.engine, 30*time.Minute)

		room := r.target.fill()
		full := r.start(resync.Request{Types: []resource.Type{pods}, Trigger: resync.Requested})
		wantNext(t, r.engine, 0)
		time.Sleep(45 * time.Minute) // past the moment at which one was due
		if n := len(r.engine.List()); n != 3 {
			t.Errorf("%d operations: a second full resync beside the first", n)
		}
		room()
		if _, err := r.engine.Wait(t.Context(), full.ID); err != nil {
			t.Fatal(err)
		}
		wantNext(t, r.engine, time.Hour)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := r.engine.List(); len(got) != 4 || got[0].Request.Trigger != resync.Scheduled {
			t.Errorf("the schedule does not go on: %+v", got)
		}
	})
}

func TestWithoutAnIntervalNothingIsDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		wantNext(t, r.engine, 0)
		time.Sleep(50 * time.Hour)
		if got := r.engine.List(); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestOperationsAreFoundWhileTheyAreRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(2)...)
		room := r.target.fill()
		long := r.start(resync.Request{Types: []resource.Type{pods}, Label: "long"})
		got, ok := r.engine.Get(long.ID)
		if !ok || got.Status != resync.Running || !got.FinishedAt.IsZero() || got.Estimate != 2 {
			t.Errorf("%+v, %v", got, ok)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.engine.Wait(ctx, long.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting: %v, want the deadline", err)
		}
		var short []string
		for i := range 30 {
			short = append([]string{r.run(resync.Request{Label: fmt.Sprint(i)}).ID}, short...)
		}
		var listed []string
		for _, op := range r.engine.List() {
			listed = append(listed, op.ID)
		}
		if diff := cmp.Diff(append(short[:19:19], long.ID), listed); diff != "" {
			t.Errorf("want the newest first, twenty of them, and what runs kept:\n%s", diff)
		}
		if _, ok := r.engine.Get(short[25]); ok {
			t.Error("an operation that was forgotten is found")
		}
		if _, err := r.engine.Wait(t.Context(), short[25]); err == nil {
			t.Error("waiting for what is not known must fail")
		}
		got.Failures["x"] = "changed by the caller"
		room()
		if op, err := r.engine.Wait(t.Context(), long.ID); err != nil || op.Status != resync.Done || len(op.Failures) != 0 ||
			op.FinishedAt.Sub(op.StartedAt) != time.Minute {
			t.Errorf("%+v, %v", op, err)
		}
	})
}

func TestStoppingGivesUpWhereverAnOperationIs(t *testing.T) {
	hang := func(ctx context.Context, _ resource.Type, _, page int) error {
		if page < 2 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	expired := func(_ context.Context, _ resource.Type, _, _ int) error {
		return fmt.Errorf("gone: %w", context.Canceled)
	}
	for name, arrange := range map[string]func(r *rig){
		"in a list":                      func(r *rig) { r.lister.before = hang },
		"before a full receiver":         func(r *rig) { r.target.fill() },
		"in a list that fails at once":   func(r *rig) { r.lister.before = expired; r.target.fill() },
		"while objects are to be filled": func(r *rig) { r.target.hollow = map[resource.Type]int{pods: 1}; r.lister.before = hang },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{Interval: time.Hour, All: all(pods)})
				r.exist(pods, some(7)...)
				arrange(r)
				op := r.start(resync.Request{Types: []resource.Type{pods, jobs}})
				time.Sleep(time.Minute)
				r.stop()
				got, err := r.engine.Wait(t.Context(), op.ID)
				if err != nil || got.Status != resync.Failed || got.FinishedAt.IsZero() || got.TypesDone != 0 {
					t.Errorf("%+v, %v, want failed", got, err)
				}
				if _, err := r.engine.Start(resync.Request{}); !errors.Is(err, resync.ErrStopped) {
					t.Errorf("Start after the end: %v", err)
				}
			})
		})
	}
}

func TestNothingStartsBeforeRun(t *testing.T) {
	e := resync.New(&lister{}, index.New(nil), resync.Options{Interval: time.Hour})
	if _, err := e.Start(resync.Request{}); !errors.Is(err, resync.ErrStopped) {
		t.Errorf("Start: %v", err)
	}
	if _, ok := e.Next(); ok {
		t.Error("a resync is due although nobody runs it")
	}
}

func TestHollowObjectsAreFilledWithWhatIsCurrent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(4)...)
		r.index.Upsert(pods, rec("a", "o01", 2))
		room := r.target.fill()
		r.target.mu.Lock()
		r.target.hollow = map[resource.Type]int{pods: 3}
		r.target.mu.Unlock()
		time.Sleep(time.Minute)
		if got := r.lister.take(); len(got) != 0 {
			t.Errorf("asked for %v while there is no room", got)
		}
		r.target.mu.Lock()
		r.target.hollow = nil
		r.target.mu.Unlock()
		room()
		synctest.Wait()
		if diff := cmp.Diff(ids("o00", "o02", "o03"), r.target.filled); diff != "" {
			t.Error(diff)
		}
		if r.target.flushed == 0 {
			t.Error("the last batch would wait to be full")
		}
		r.lister.take()
		time.Sleep(time.Minute)
		if got := r.lister.take(); len(got) != 0 {
			t.Errorf("asked for %v although nothing is hollow", got)
		}
	})
}

func TestFillingTriesAgainAfterAPause(t *testing.T) {
	for name, tt := range map[string]struct {
		fail  error
		lists int // within a minute
	}{
		"after a failure":                    {errors.New("forbidden"), 6},
		"soon, when a list has only expired": {expiring(map[int]int{1: 1})(nil, pods, 1, 1), 60},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{})
				r.exist(pods, some(1)...)
				r.lister.before = func(context.Context, resource.Type, int, int) error { return tt.fail }
				r.target.mu.Lock()
				r.target.hollow = map[resource.Type]int{pods: 1}
				r.target.mu.Unlock()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := len(r.lister.take()); got != tt.lists {
					t.Errorf("%d lists in a minute, want %d", got, tt.lists)
				}
				r.lister.mu.Lock()
				r.lister.before = nil
				r.lister.mu.Unlock()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if len(r.target.filled) == 0 {
					t.Error("not filled when lists succeed again")
				}
			})
		})
	}
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := newRig(t, resync.Options{Registerer: reg})
		r.exist(pods, some(4)...)
		r.run(resync.Request{Types: []resource.Type{pods, missing}})
		r.target.fill()
		r.start(resync.Request{Types: []resource.Type{pods}})
		synctest.Wait()
		want := `# HELP k8s_vectordb_sync_resync_objects_total Objects that resyncs have read from the API server.
# TYPE k8s_vectordb_sync_resync_objects_total counter
k8s_vectordb_sync_resync_objects_total 4
# HELP k8s_vectordb_sync_resync_types_total Resource types that resyncs have been through.
# TYPE k8s_vectordb_sync_resync_types_total counter
k8s_vectordb_sync_resync_types_total 2
# HELP k8s_vectordb_sync_resyncs_running Resyncs under way.
# TYPE k8s_vectordb_sync_resyncs_running gauge
k8s_vectordb_sync_resyncs_running 1
# HELP k8s_vectordb_sync_resyncs_total Resyncs that have ended, by how.
# TYPE k8s_vectordb_sync_resyncs_total counter
k8s_vectordb_sync_resyncs_total{status="done"} 1
k8s_vectordb_sync_resyncs_total{status="failed"} 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}
