package resync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

func TestAnOperationOffersEverythingOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		r.exist(nodes, rec("", "n", 1))
		op := r.run(resync.Request{Types: []resource.Type{pods, nodes}, Trigger: resync.Requested})
		want := resync.Operation{Request: resync.Request{Types: []resource.Type{pods, nodes}, Trigger: resync.Requested}, Status: resync.Done, TypesDone: 2, Estimate: 8}
		ignore := cmpopts.IgnoreFields(resync.Operation{}, "ID", "StartedAt", "FinishedAt")
		if diff := cmp.Diff(want, op, ignore, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(append(numbered(7), "_cluster/v1/Node/n=1"), r.target.offered()); diff != "" {
			t.Error(diff)
		}
		if r.target.flushed == 0 {
			t.Error("the last batch would wait to be full")
		}
	})
}

func TestTheNextPageIsNotAskedForBeforeThereIsRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(7)...)
		slow := &target{}
		r.engine.SetTarget("slow", slow)
		// The receiver is full again as soon as a page is asked for.
		next := make(chan func(), 1)
		r.lister.before = func(context.Context, resource.Type, int, int) error { next <- slow.fill(); return nil }
		room := slow.fill()
		op := r.start(resync.Request{Types: []resource.Type{pods}})
		for page := range 3 {
			synctest.Wait()
			if got := r.lister.take(); len(got) != 0 {
				t.Fatalf("asked for %v while a receiver is behind, %d pages read", got, page)
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
		if op, err := r.engine.Wait(t.Context(), op.ID); err != nil || op.Status != resync.Done {
			t.Errorf("%+v, %v", op, err)
		}
		if diff := cmp.Diff(r.target.offered(), slow.offered()); diff != "" {
			t.Errorf("two targets get different objects: %s", diff)
		}
	})
}

func TestOnlyCurrentStatesAreOffered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, rec("a", "same", 1), rec("a", "changed", 1), rec("a", "gone", 1), rec("a", "ahead", 1))
		r.index.Upsert(pods, rec("a", "changed", 2))     // the watch has overtaken the list
		r.index.Delete(pods, "a", "gone", 9)             // and here, too
		r.lister.objects[pods][3] = rec("a", "ahead", 7) // the list has overtaken the watch, which will bring it
		r.run(resync.Request{Types: []resource.Type{pods}})
		if diff := cmp.Diff(ids("same"), r.target.offered()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEqualRequestsAreOneOperation(t *testing.T) {
	base := resync.Request{Types: []resource.Type{pods}, Label: "pods", Namespace: "a", Trigger: resync.Requested}
	for name, tt := range map[string]struct {
		change func(*resync.Request)
		same   bool
	}{
		"the same":          {func(*resync.Request) {}, true},
		"on schedule":       {func(r *resync.Request) { r.Trigger = resync.Scheduled }, true},
		"another resource":  {func(r *resync.Request) { r.Label = "jobs" }, false},
		"another namespace": {func(r *resync.Request) { r.Namespace = "b" }, false},
		"another scope":     {func(r *resync.Request) { r.Scope = "replica" }, false},
		"with force":        {func(r *resync.Request) { r.Force = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{})
				r.exist(pods, some(1)...)
				room := r.target.fill()
				defer room()
				first := r.start(base)
				other := base
				tt.change(&other)
				second := r.start(other)
				if (first.ID == second.ID) != tt.same {
					t.Errorf("operations %s and %s", first.ID, second.ID)
				}
				room()
				if _, err := r.engine.Wait(t.Context(), first.ID); err != nil {
					t.Fatal(err)
				}
				if again := r.start(base); again.ID == first.ID {
					t.Error("a finished operation was taken for a running one")
				}
			})
		})
	}
}

// expiring lets the n-th list end with ErrExpired before its page at[n].
func expiring(at map[int]int) func(context.Context, resource.Type, int, int) error {
	return func(_ context.Context, _ resource.Type, list, page int) error {
		if at[list] == page {
			return errors.Join(watch.ErrExpired, errors.New("410"))
		}
		return nil
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
		// An aggregated API may list in any order. Then everything is offered again, rather than something never.
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
				op := r.run(resync.Request{Types: []resource.Type{pods}})
				if diff := cmp.Diff(tt.want, r.target.offered()); diff != "" {
					t.Error(diff)
				}
				if op.Status != resync.Done || len(op.Failures) != 0 {
					t.Errorf("%+v", op)
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
		r.run(resync.Request{Types: []resource.Type{pods}})
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want 8 s: the first of nine lists that expired came further than nothing", took)
		}
	})
}

func TestATypeThatFailsIsReportedAndTheRestGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(2)...)
		r.exist(jobs, rec("a", "j", 1))
		r.lister.before = func(_ context.Context, typ resource.Type, _, _ int) error {
			if typ == jobs {
				return errors.New("jobs.batch is forbidden")
			}
			return nil
		}
		op := r.run(resync.Request{Types: []resource.Type{missing, jobs, pods}})
		if op.Status != resync.Done || op.TypesDone != 3 {
			t.Errorf("%+v", op)
		}
		want := map[string]string{
			"ghosts.v1":     "its objects have not been read yet; they are sent as soon as they are",
			"jobs.v1.batch": "listing: asking for page 1: jobs.batch is forbidden",
		}
		if diff := cmp.Diff(want, op.Failures); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(numbered(2), r.target.offered()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNamespaces(t *testing.T) {
	for namespace, want := range map[string][]string{
		"":                        {"jobs.batch page 1", "pods page 1", "nodes page 1"},
		"a":                       {"jobs.batch in a page 1", "pods in a page 1"},
		resource.ClusterNamespace: {"nodes page 1"},
	} {
		t.Run(namespace, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{})
				r.exist(jobs, rec("b", "j", 1))
				r.exist(pods, rec("a", "p", 1), rec("b", "p", 1))
				r.exist(nodes, rec("", "n", 1))
				op := r.run(resync.Request{Types: []resource.Type{jobs, pods, nodes}, Namespace: namespace})
				if diff := cmp.Diff(want, r.lister.take()); diff != "" {
					t.Error(diff)
				}
				if op.TypesDone != 3 || len(op.Failures) != 0 {
					t.Errorf("a type without objects there is no failure: %+v", op)
				}
				if slices.Contains(r.target.offered(), "b/v1/Pod/p=1") != (namespace == "") {
					t.Errorf("offered %v", r.target.offered())
				}
			})
		})
	}
}

func TestARemovedTargetGetsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(2)...)
		r.engine.SetTarget("default", nil)
		op := r.run(resync.Request{Types: []resource.Type{pods}})
		if got := r.target.offered(); len(got) != 0 || op.Status != resync.Done {
			t.Errorf("offered %v, %+v", got, op)
		}
	})
}
