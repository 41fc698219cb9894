package operations_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

// every makes a member schedule full operations.
func every(d time.Duration) func(*operations.Options, *node) {
	return func(o *operations.Options, _ *node) { o.Interval = d }
}

// scheduled starts members that schedule, over 6 types.
func scheduled(t *testing.T, d time.Duration, names ...string) *fleet {
	f := newFleet(t, 6)
	f.view = names
	for _, name := range names {
		f.start(name, every(d))
	}
	synctest.Wait()
	return f
}

// scheduler returns the member that is responsible for the schedule.
func scheduler(t *testing.T, names ...string) string {
	t.Helper()
	r, err := ring.New(names, quick())
	if err != nil {
		t.Fatal(err)
	}
	return r.Owner(r.Partition("resync"))
}

func TestASchedulerWhoseWatchLagsRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, time.Hour, "a", "b")
		n := f.nodes[scheduler(t, "a", "b")]
		time.Sleep(59 * time.Minute)
		n.client.Break(func(f *configmaps.Faults) { f.Deaf = true })
		f.server.Edit(configMap, func(data map[string]string) { data["last"] = time.Now().Format(time.RFC3339) })
		time.Sleep(30 * time.Minute)
		if ops := n.List(); len(ops) != 0 {
			t.Errorf("%+v, though a full operation had ended a minute before it was due", ops)
		}
	})
}

// TestStartRestored_IsOneOperationOfTheFleet has all members find out, one after another, that the cluster has
// gone back. Every type is sent once. An operation of the time before counts for nothing.
func TestStartRestored_IsOneOperationOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, 0, "a", "b", "c")
		f.wait("a", f.begin("a", f.full()).ID)
		time.Sleep(time.Minute)
		back := time.Now()
		for _, name := range []string{"b", "a", "c", "b"} {
			time.Sleep(20 * time.Second) // longer than the operation takes
			if err := f.nodes[name].StartRestored(t.Context(), back); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		ops := f.nodes["a"].List()
		if len(ops) != 2 || ops[0].Request.Trigger != operations.Restored || !ops[0].Request.Full() || ops[0].Status != operations.Done {
			t.Errorf("there are %+v, want one that was asked for and one of the restore, ended", ops)
		}
		times, _ := f.done()
		for part, n := range times {
			if n != 2 {
				t.Errorf("%s was sent %d times, want twice", part, n)
			}
		}
	})
}

func TestAFullOperationIsDueAnIntervalAfterTheLastOneEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, time.Hour, "a", "b", "c")
		began := time.Now()
		for n := range 3 {
			next, ok := f.nodes["b"].Next()
			if want := time.Duration(n) * time.Hour; !ok || next.Sub(began) < want+59*time.Minute || next.Sub(began) > want+61*time.Minute {
				t.Fatalf("the %dth is due after %v", n+1, next.Sub(began))
			}
			time.Sleep(time.Until(next) - time.Second)
			if got := len(f.nodes["a"].List()); got != n {
				t.Fatalf("a second before, there have been %d operations, want %d", got, n)
			}
			time.Sleep(5 * time.Second)
			if got := f.nodes["a"].List(); len(got) != n+1 || got[0].Member != scheduler(t, "a", "b", "c") || got[0].Request.Trigger != operations.Scheduled || !got[0].Request.Full() {
				t.Fatalf("when it was due, there have been %d operations, the last %+v", len(got), got)
			}
			f.wait("a", f.nodes["a"].List()[0].ID)
			time.Sleep(5 * time.Second)
		}
		times, _ := f.done()
		for part, n := range times {
			if n != 3 {
				t.Errorf("%s was sent %d times in 3 operations", part, n)
			}
		}
	})
}

func TestSchedule_AllMembersAreReplaced_StaysDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, time.Hour, "a", "b")
		time.Sleep(50 * time.Minute)
		for _, name := range []string{"a", "b"} {
			f.nodes[name].kill()
		}
		time.Sleep(5 * time.Minute)
		for _, name := range []string{"a", "b"} {
			f.start(name, every(time.Hour))
		}
		synctest.Wait()
		if next, ok := f.nodes["a"].Next(); !ok || time.Until(next) < 4*time.Minute || time.Until(next) > 6*time.Minute {
			t.Errorf("after a restart it is due in %v, want 5 minutes", time.Until(next))
		}
		for _, name := range []string{"a", "b"} {
			f.nodes[name].kill()
		}
		time.Sleep(2 * time.Hour)
		for _, name := range []string{"a", "b"} {
			f.start(name, every(time.Hour))
		}
		time.Sleep(5 * time.Second)
		if n := len(f.nodes["a"].List()); n != 1 {
			t.Errorf("%d operations after an outage in which one was due, want 1", n)
		}
		time.Sleep(50 * time.Minute)
		if n := len(f.nodes["a"].List()); n != 1 {
			t.Errorf("%d operations 50 minutes later, want 1", n)
		}
	})
}

func TestARequestForEverythingCountsForTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, time.Hour, "a", "b")
		time.Sleep(30 * time.Minute)
		o := f.begin("a", f.full())
		time.Sleep(100 * time.Millisecond)
		if _, ok := f.nodes["b"].Next(); ok {
			t.Error("one is due while one is under way")
		}
		f.wait("a", o.ID)
		time.Sleep(5 * time.Second)
		if next, _ := f.nodes["b"].Next(); time.Until(next) < 59*time.Minute {
			t.Errorf("the next is due in %v, want an hour after this one", time.Until(next))
		}
		part := f.begin("a", operations.Request{Types: f.catalog.Types()[:1], Label: "things0"})
		before, _ := f.nodes["b"].Next()
		f.wait("a", part.ID)
		time.Sleep(5 * time.Second)
		if after, _ := f.nodes["b"].Next(); !after.Equal(before) {
			t.Errorf("a part moved it from %v to %v", before, after)
		}
	})
}

func TestAClockThatWasAheadDoesNotEndTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6)
		f.server.Edit(configMap, func(data map[string]string) { data["last"] = "2999-01-01T00:00:00Z" })
		f.view = []string{"a"}
		f.start("a", every(time.Hour))
		time.Sleep(61 * time.Minute)
		if n := len(f.nodes["a"].List()); n != 1 {
			t.Errorf("%d operations after 61 minutes, want 1", n)
		}
	})
}

func TestSchedule_NoIntervalOrNoTypes_StartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, 0, "a")
		time.Sleep(time.Hour)
		if next, ok := f.nodes["a"].Next(); ok || len(f.server.Data(configMap)) != 0 {
			t.Errorf("due at %v, written %v, want nothing", next, f.server.Data(configMap))
		}
		g := newFleet(t, 0)
		g.view = []string{"a"}
		g.start("a", every(time.Hour))
		time.Sleep(2 * time.Hour)
		if ops := g.nodes["a"].List(); len(ops) != 0 {
			t.Errorf("%+v, want none before types are known", ops)
		}
	})
}
