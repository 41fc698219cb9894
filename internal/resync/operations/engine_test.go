package operations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

func TestEngine_PartsAreSent_CountsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 5, "a")
		o := f.begin("a", f.full())
		if o.Status != operations.Running || o.Estimate != 50 || o.Types != 5 || o.Member != "a" {
			t.Errorf("it begins as %+v", o)
		}
		time.Sleep(3500 * time.Millisecond)
		if seen, _ := f.engines["a"].Get(o.ID); seen.TypesDone < 2 || seen.Offered < 20 || seen.Status != operations.Running {
			t.Errorf("in the middle it is %+v", seen)
		}
		end := f.wait("a", o.ID)
		f.wantOnce(5)
		want := []operations.Share{{Member: "a", Parts: 5, Objects: 50, Done: 5, Offered: 50}}
		if end.Status != operations.Done || end.TypesDone != 5 || end.Offered != 50 || end.Open != 0 || end.FinishedAt.IsZero() || !cmp.Equal(want, end.Shares) {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAnEndedOperationIsClosedAndStaysKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 9, "a")
		o := f.begin("a", f.full())
		before := f.wait("a", o.ID)
		time.Sleep(5 * time.Second)
		for k, v := range f.server.Data(configMap) {
			if strings.HasPrefix(k, "run.") || strings.Contains(v, `"parts":[`) {
				t.Errorf("%s = %s is kept, want the result only", k, v)
			}
		}
		f.start("b")
		synctest.Wait()
		after, ok := f.engines["b"].Get(o.ID)
		after.Request.Types, before.Request.Types = nil, nil
		before.FinishedAt = before.FinishedAt.Round(0)
		if d := cmp.Diff(before, after); !ok || d != "" {
			t.Errorf("a newcomer sees another end:\n%s", d)
		}
	})
}

// TestEqualRequests_ReadBeforeEitherIsWritten_AreOneOperation has two engines read before either writes.
func TestEqualRequests_ReadBeforeEitherIsWritten_AreOneOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 6, "a", "b")
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]bool{}
		for _, n := range f.engines {
			n.client.Break(func(f *configmaps.Faults) { f.Delay = 20 * time.Millisecond })
			wg.Go(func() {
				o, err := n.Start(t.Context(), f.full())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[o.ID] = true
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Fatalf("two equal requests are the operations %v, want one", ids)
		}
		scheduled := f.full()
		scheduled.Trigger = operations.Scheduled
		if o := f.begin("b", scheduled); !ids[o.ID] {
			t.Error("the same on schedule is another operation")
		}
		other := f.full()
		other.Force = true
		if o := f.begin("b", other); ids[o.ID] {
			t.Error("one with force is the same operation")
		}
		own := f.full()
		own.Scope = operations.Replica
		if f.begin("a", own).ID == f.begin("b", own).ID {
			t.Error("the shares of two replicas are one operation")
		}
	})
}

func TestDifferentRequestsAtOneMomentAllBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 8, "a", "b")
		f.server.Edit(configMap, func(map[string]string) {})
		var wg sync.WaitGroup
		for name, n := range f.engines {
			n.client.Break(func(f *configmaps.Faults) { f.Delay = 20 * time.Millisecond })
			for i := range 4 {
				wg.Go(func() {
					if _, err := n.Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: fmt.Sprint(name, i)}); err != nil {
						t.Errorf("Start on %s: %v", name, err)
					}
				})
			}
		}
		wg.Wait()
		synctest.Wait()
		if ops := f.engines["a"].List(); len(ops) != 8 {
			t.Errorf("%d operations have begun, want 8", len(ops))
		}
	})
}

func TestEngine_IsNoMemberAnyMore_GivesUpItsPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1, "a")
		o := f.begin("a", f.full())
		time.Sleep(100 * time.Millisecond)
		f.see("b")
		f.engines["a"].Changed()
		synctest.Wait()
		steps := f.log()
		if len(steps) != 2 || !steps[1].ended || !errors.Is(steps[1].err, context.Canceled) {
			t.Fatalf("%+v, want what it has begun given up", steps)
		}
		f.see("a")
		if end := f.wait("a", o.ID); end.Status != operations.Done || len(end.Failures) != 0 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAReturningAssigneeLeavesAPartToItsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1, "a", "b")
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, _ operations.Part, _ func(int, int)) error {
				return takes(ctx, time.Minute)
			}
		})
		o := f.begin("a", f.full())
		time.Sleep(10 * time.Second)
		first, other := f.log()[0].member, "a"
		if first == "a" {
			other = "b"
		}
		f.see(other)
		time.Sleep(10 * time.Second)
		f.see("a", "b")
		f.wait(first, o.ID)
		_, by := f.done()
		if len(by[first]) != 0 || len(f.log()) != 4 { // begun, given up; begun, done
			t.Errorf("%+v, want %s to leave it alone once it is back", f.log(), first)
		}
	})
}

func TestAnEqualRequestAfterTheEndIsAnotherOperationEvenIfTheWatchLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1, "a", "b") // One part leaves one of the two without a write.
		first := f.begin("a", f.full())
		time.Sleep(500 * time.Millisecond)
		busy, idle := f.log()[0].member, "a"
		if busy == "a" {
			idle = "b"
		}
		f.engines[idle].client.Break(func(f *configmaps.Faults) { f.Deaf = true })
		f.wait(busy, first.ID)
		if o, _ := f.engines[idle].Get(first.ID); o.Finished() {
			t.Fatal("the watch does not lag")
		}
		if o := f.begin(idle, f.full()); o.ID == first.ID || o.Status != operations.Running {
			t.Errorf("%s returns %+v, which has ended", idle, o)
		}
		f.engines[idle].client.Break(func(f *configmaps.Faults) { f.Deaf = false })
	})
}

func TestEngine_MemberIsNotReady_RunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, "a")
		f.ready(false)
		o := f.begin("a", f.full())
		time.Sleep(time.Hour)
		if steps := f.log(); len(steps) != 0 {
			t.Errorf("%+v, want nothing", steps)
		}
		f.ready(true)
		f.wait("a", o.ID)
	})
}

func TestAQuickOperationEndsAtOnceForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 30, "a", "b")
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, _ operations.Part, _ func(int, int)) error {
				return takes(ctx, 10*time.Millisecond)
			}
		})
		began := time.Now()
		f.wait("b", f.begin("a", f.full()).ID)
		if took := time.Since(began); took > time.Second {
			t.Errorf("shares of 300 ms at most took %v", took)
		}
	})
}

func TestAFailedPartIsNamedAndHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 12, "a")
		good := f.behave
		f.locked(func() {
			f.behave = func(ctx context.Context, m string, r operations.Request, p operations.Part, progress func(int, int)) error {
				if p.Key == "things3.v1" {
					return errors.New("it is forbidden " + strings.Repeat("ü", 200))
				}
				return good(ctx, m, r, p, progress)
			}
		})
		end := f.wait("a", f.begin("a", f.full()).ID)
		if end.Status != operations.Done || end.TypesDone != 12 || end.FailedTypes != 1 || !strings.HasPrefix(end.Failures["things3.v1"], "it is forbidden ü") ||
			len(end.Failures["things3.v1"]) > 160 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAPartOfATypeIsGivenTheNamespacesThatExistWhenItIsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 0, "a")
		f.see("a", "b", "c")
		f.catalog.objects[pods] = 400
		f.catalog.namespaces[pods] = map[string]int{"a": 100, "b": 100, "c": 100, "d": 100}
		f.ready(false)
		o := f.begin("a", operations.Request{Types: []resource.Type{pods}, Label: "pods"})
		f.catalog.mu.Lock()
		f.catalog.namespaces[pods] = map[string]int{"a": 100, "aa": 1, "c": 100, "d": 100, "e": 1}
		f.catalog.mu.Unlock()
		f.see("a")
		f.ready(true)
		end := f.wait("a", o.ID)
		names := map[string]int{}
		for _, s := range f.log() {
			if s.namespaces == nil {
				t.Errorf("%s was sent whole", s.part)
			}
			for _, name := range s.namespaces {
				names[name]++
			}
		}
		if d := cmp.Diff(map[string]int{"a": 2, "aa": 2, "c": 2, "d": 2, "e": 2}, names); d != "" { // begun and ended
			t.Errorf("namespaces (-want +got):\n%s", d)
		}
		if end.Types != 1 || end.TypesDone != 1 || len(end.Shares) != 3 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestTypesThatCannotHaveWhatIsAskedForAreNotPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 0, "a")
		f.wait("a", f.begin("a", operations.Request{Types: []resource.Type{pods, nodes, jobs}, Namespace: "team"}).ID)
		f.wait("a", f.begin("a", operations.Request{Types: []resource.Type{pods, nodes, jobs}, Namespace: "_cluster"}).ID)
		times, _ := f.done()
		if d := cmp.Diff(map[string]int{"pods.v1": 1, "jobs.v1.batch": 1, "nodes.v1": 1}, times); d != "" {
			t.Errorf("parts (-want +got):\n%s", d)
		}
		if end := f.wait("a", f.begin("a", operations.Request{Label: "nothing"}).ID); end.Status != operations.Done {
			t.Errorf("nothing ends as %+v", end)
		}
	})
}

func TestEngine_Stopped_CallsFailWithErrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 30, "a")
		a := f.engines["a"]
		o := f.begin("a", f.full())
		waited := make(chan error, 1)
		go func() {
			_, err := a.Wait(t.Context(), o.ID)
			waited <- err
		}()
		time.Sleep(3200 * time.Millisecond)
		a.stop()
		if err := <-waited; !errors.Is(err, operations.ErrStopped) {
			t.Errorf("Wait: %v", err)
		}
		if _, err := a.Start(t.Context(), f.full()); !errors.Is(err, operations.ErrStopped) {
			t.Errorf("Start: %v", err)
		}
		if got := f.server.Data(configMap)["run."+o.ID+".a"]; !strings.Contains(got, `"done":"0-2"`) || strings.Contains(got, "running") {
			t.Errorf("it left %s, want what it had finished", got)
		}
		if _, err := a.Wait(t.Context(), "unknown"); !errors.Is(err, operations.ErrUnknown) {
			t.Errorf("Wait for the unknown: %v", err)
		}
	})
}

func TestANonMemberCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, "a")
		f.see()
		if _, err := f.engines["a"].Start(t.Context(), f.full()); !errors.Is(err, operations.ErrNoMembers) {
			t.Errorf("Start: %v", err)
		}
	})
}

func TestAMissingPermissionIsSaidAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 0)
		n := f.start("a", func(_ *operations.Options, n *member) {
			n.client.Break(func(f *configmaps.Faults) { f.Err = apierrors.NewForbidden(configmaps.Resource, "", nil) })
		})
		err := <-n.ended
		n.ended <- nil
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ConfigMap r-resyncs of namespace ns") {
			t.Errorf("%v, want forbidden and what is needed", err)
		}
	})
}

func TestUnsoundOptionsAreAllNamed(t *testing.T) {
	_, err := operations.New(configmaps.NewServer().Client("a"), nil, nil, nil, operations.Options{Member: "no/pod"})
	if err == nil || !strings.Contains(err.Error(), "namespace") || !strings.Contains(err.Error(), `"no/pod"`) {
		t.Errorf("%v, want both named", err)
	}
}
