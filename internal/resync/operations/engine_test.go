package operations_test

import (
	"context"
	"errors"
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

func TestAnOperationIsSharedOutAndEveryMemberKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 30, "a", "b", "c")
		o := f.begin("a", f.full())
		if o.Status != operations.Running || o.Estimate != 300 || o.Types != 30 || o.Member != "a" {
			t.Errorf("it begins as %+v", o)
		}
		time.Sleep(6 * time.Second)
		seen, ok := f.nodes["c"].Get(o.ID)
		if !ok || seen.TypesDone < 9 || seen.Offered < 90 || seen.Status != operations.Running {
			t.Errorf("in the middle c sees %+v", seen)
		}
		var ends []operations.Operation
		for _, name := range []string{"a", "b", "c"} {
			ends = append(ends, f.wait(name, o.ID))
		}
		f.wantOnce(30)
		for _, end := range ends {
			if end.Status != operations.Done || end.TypesDone != 30 || end.Offered != 300 || end.Open != 0 || end.FinishedAt.IsZero() || len(end.Failures) != 0 {
				t.Errorf("it ends as %+v", end)
			}
			if d := cmp.Diff(ends[0], end); d != "" {
				t.Errorf("two members see two ends:\n%s", d)
			}
		}
		_, by := f.done()
		for _, s := range ends[0].Shares {
			if s.Objects > 150 || s.Parts != len(by[s.Member]) || s.Done != s.Parts || s.Offered != s.Objects {
				t.Errorf("share %+v, which sent %v", s, by[s.Member])
			}
		}
	})
}

func TestAnEndedOperationIsClosedAndStaysKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 9, "a", "b", "c")
		o := f.begin("b", f.full())
		before := f.wait("a", o.ID)
		time.Sleep(5 * time.Second)
		for k, v := range f.server.Data(configMap) {
			if strings.HasPrefix(k, "run.") || strings.Contains(v, `"parts":[`) {
				t.Errorf("%s = %s is kept, want the result only", k, v)
			}
		}
		f.nodes["a"].stop()
		f.start("a")
		synctest.Wait()
		after, ok := f.nodes["a"].Get(o.ID)
		after.Request.Types, before.Request.Types = nil, nil
		before.FinishedAt = before.FinishedAt.Round(0)
		if d := cmp.Diff(before, after); !ok || d != "" {
			t.Errorf("a new life sees another end:\n%s", d)
		}
	})
}

func TestEqualRequestsAreOneOperationAtWhicheverMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6, "a", "b", "c")
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]bool{}
		for _, n := range f.nodes {
			// All have read before anybody writes.
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
			t.Fatalf("three equal requests are the operations %v, want one", ids)
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
		for id := range ids {
			f.wait("a", id)
		}
	})
}

func TestAnEqualRequestAfterTheEndIsAnotherOperationEvenIfTheWatchLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, "a", "b") // One part leaves one of the two without a write.
		first := f.begin("a", f.full())
		time.Sleep(500 * time.Millisecond)
		busy, idle := f.log()[0].member, "a"
		if busy == "a" {
			idle = "b"
		}
		f.nodes[idle].client.Break(func(f *configmaps.Faults) { f.Deaf = true })
		f.wait(busy, first.ID)
		if o, _ := f.nodes[idle].Get(first.ID); o.Finished() {
			t.Fatal("the watch does not lag")
		}
		if o := f.begin(idle, f.full()); o.ID == first.ID || o.Status != operations.Running {
			t.Errorf("%s returns %+v, which has ended", idle, o)
		}
		f.nodes[idle].client.Break(func(f *configmaps.Faults) { f.Deaf = false })
	})
}

func TestDifferentRequestsAtOneMomentAllBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		f := newFleet(t, 8, names...)
		f.server.Edit(configMap, func(map[string]string) {})
		var wg sync.WaitGroup
		for _, name := range names {
			n := f.nodes[name]
			n.client.Break(func(f *configmaps.Faults) { f.Delay = 20 * time.Millisecond })
			wg.Go(func() {
				if _, err := n.Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: name}); err != nil {
					t.Errorf("Start on %s: %v", name, err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if ops := f.nodes["a"].List(); len(ops) != 8 {
			t.Errorf("%d operations have begun, want 8", len(ops))
		}
	})
}

func TestEngine_MemberIsNotReady_RunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, "a")
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
		f := newFleet(t, 30, "a", "b", "c")
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, _ operations.Part, _ func(int, int)) error {
				return takes(ctx, 10*time.Millisecond)
			}
		})
		began := time.Now()
		f.wait("c", f.begin("a", f.full()).ID)
		if took := time.Since(began); took > time.Second {
			t.Errorf("shares of 150 ms at most took %v", took)
		}
	})
}

func TestPartsOfADeadMemberAreTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 30, "a", "b", "c")
		o := f.begin("a", f.full())
		time.Sleep(4500 * time.Millisecond)
		f.nodes["b"].kill()
		_, by := f.done()
		finished := len(by["b"])
		time.Sleep(15 * time.Second)
		f.leave("b")
		end := f.wait("c", o.ID)
		if end.Status != operations.Done || len(end.Failures) > 0 || end.TypesDone != 30 {
			t.Errorf("it ends as %+v", end)
		}
		times, _ := f.done()
		again := 0
		for _, n := range times {
			again += n - 1
		}
		if len(times) != 30 || finished == 0 || again > 2 {
			t.Errorf("%d of 30 parts were sent, %d of the %d that b had finished again, want those of its last second at most", len(times), again, finished)
		}
	})
}

func TestAMemberThatComesBackGoesOnWithWhatIsLeft(t *testing.T) {
	for name, end := range map[string]func(*node){"after a kill": (*node).kill, "after a stop": (*node).stop} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 30, "a", "b")
				o := f.begin("b", f.full())
				time.Sleep(5500 * time.Millisecond)
				end(f.nodes["a"])
				f.start("a", func(_ *operations.Options, n *node) { n.ready = false })
				time.Sleep(5 * time.Second)
				f.locked(func() { f.nodes["a"].ready = true })
				f.wait("a", o.ID)
				times, by := f.done()
				again := 0
				for _, n := range times {
					again += n - 1
				}
				if again > 1 || len(times) != 30 {
					t.Errorf("%d parts were sent, %d of them twice, want 30 and at most that of the last second", len(times), again)
				}
				for _, s := range f.wait("b", o.ID).Shares {
					if s.Done != s.Parts || s.Offered < s.Objects {
						t.Errorf("share %+v, having sent %d parts, want each to have done its own", s, len(by[s.Member]))
					}
				}
			})
		})
	}
}

func TestEngine_StarterDiesAfterThePlan_OthersFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12, "a", "b", "c")
		f.ready(false) // no member has time to begin
		o := f.begin("a", f.full())
		f.nodes["a"].kill()
		f.leave("a")
		f.ready(true)
		if end := f.wait("b", o.ID); end.Status != operations.Done {
			t.Errorf("it ends as %+v", end)
		}
		f.wantOnce(12)
	})
}

// TestEngine_MembersDieUntilOneIsLeft_ItFinishes has members die one after the other until one is left.
func TestEngine_MembersDieUntilOneIsLeft_ItFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 40, "a", "b", "c", "d")
		o := f.begin("d", f.full())
		for _, name := range []string{"d", "a", "c"} {
			time.Sleep(3 * time.Second)
			f.nodes[name].kill()
			f.leave(name)
		}
		if end := f.wait("b", o.ID); end.Status != operations.Done || end.TypesDone != 40 {
			t.Errorf("it ends as %+v", end)
		}
		if times, _ := f.done(); len(times) != 40 {
			t.Errorf("%d parts were sent, want 40", len(times))
		}
	})
}

func TestAReturningAssigneeLeavesAPartToItsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, "a", "b")
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, _ operations.Part, _ func(int, int)) error {
				return takes(ctx, time.Minute)
			}
		})
		o := f.begin("a", f.full())
		time.Sleep(10 * time.Second)
		first := f.log()[0].member
		f.nodes[first].kill()
		f.leave(first)
		time.Sleep(10 * time.Second)
		f.start(first)
		f.join(first)
		f.wait(first, o.ID)
		_, by := f.done()
		if len(by[first]) != 0 || len(f.log()) != 4 { // begun, given up; begun, done
			t.Errorf("%+v, want %s to leave it alone once it is back", f.log(), first)
		}
	})
}

func TestAMemberThatHasLeftStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, "a", "b")
		o := f.begin("a", f.full())
		time.Sleep(100 * time.Millisecond)
		first := f.log()[0].member
		f.leave(first)
		f.nodes[first].Changed()
		synctest.Wait()
		if len(f.log()) < 2 {
			t.Fatalf("%+v, want what %s has begun given up", f.log(), first)
		}
		if second := f.log()[1]; second.member != first || !second.ended || !errors.Is(second.err, context.Canceled) {
			t.Errorf("%+v, want it given up", second)
		}
		if end := f.wait(first, o.ID); end.Status != operations.Done || len(end.Failures) != 0 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAReplicasOwnShareIsNotTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 5, "a", "b", "c")
		r := f.full()
		r.Scope = operations.Replica
		done := f.begin("b", r)
		if other := f.begin("a", r); other.ID == done.ID {
			t.Error("the shares of two replicas are one operation")
		} else {
			f.wait("a", other.ID)
		}
		f.wait("a", done.ID)
		for _, s := range f.log() {
			if s.member == "c" {
				t.Errorf("%+v, though c was not asked", s)
			}
		}
		given := f.begin("c", r)
		f.nodes["c"].kill()
		f.leave("c")
		time.Sleep(4 * time.Minute)
		if o, _ := f.nodes["a"].Get(given.ID); o.Status != operations.Running {
			t.Errorf("after 4 minutes it is %+v, want it to wait for c", o)
		}
		end := f.wait("a", given.ID)
		if end.Status != operations.Failed || end.Message != "c, which was asked to send what it owns, has been gone for 5m0s" {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAFailedPartIsNamedAndHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 12, "a", "b")
		good := f.behave
		f.locked(func() {
			f.behave = func(ctx context.Context, m string, r operations.Request, p operations.Part, progress func(int, int)) error {
				if p.Key == "things3.v1" {
					return errors.New("it is forbidden " + strings.Repeat("ü", 200))
				}
				return good(ctx, m, r, p, progress)
			}
		})
		end := f.wait("b", f.begin("a", f.full()).ID)
		if end.Status != operations.Done || end.TypesDone != 12 || end.FailedTypes != 1 || !strings.HasPrefix(end.Failures["things3.v1"], "it is forbidden ü") ||
			len(end.Failures["things3.v1"]) > 160 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestSmallOperationsGoBeforeFullOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 100, "a")
		full := f.begin("a", f.full())
		time.Sleep(3500 * time.Millisecond)
		small := f.begin("a", operations.Request{Types: f.catalog.Types()[98:], Label: "things"})
		began := time.Now()
		f.wait("a", small.ID)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("two parts took %v behind a full operation", took)
		}
		f.wait("a", full.ID)
	})
}

func TestAPartOfATypeIsGivenTheNamespacesThatExistWhenItIsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 0, "a", "b", "c")
		f.catalog.objects[pods] = 400
		f.catalog.namespaces[pods] = map[string]int{"a": 100, "b": 100, "c": 100, "d": 100}
		f.ready(false)
		o := f.begin("a", operations.Request{Types: []resource.Type{pods}, Label: "pods"})
		f.catalog.mu.Lock()
		f.catalog.namespaces[pods] = map[string]int{"a": 100, "aa": 1, "c": 100, "d": 100, "e": 1}
		f.catalog.mu.Unlock()
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
		f := newFleet(t, 0, "a")
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
		f := newFleet(t, 30, "a")
		a := f.nodes["a"]
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
		f := newFleet(t, 3, "a")
		f.leave("a")
		if _, err := f.nodes["a"].Start(t.Context(), f.full()); !errors.Is(err, operations.ErrNoMembers) {
			t.Errorf("Start: %v", err)
		}
	})
}

func TestAMissingPermissionIsSaidAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 0)
		n := f.start("a", func(_ *operations.Options, n *node) {
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
