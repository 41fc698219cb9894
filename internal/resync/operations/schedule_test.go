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
func every(d time.Duration) func(*operations.Options, *member) {
	return func(o *operations.Options, _ *member) { o.Interval = d }
}

// scheduled starts members that schedule, over 6 types.
func scheduled(t *testing.T, d time.Duration, names ...string) *fixture {
	f := newFixture(t, 6)
	f.see(names...)
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
		n := f.engines[scheduler(t, "a", "b")]
		time.Sleep(59 * time.Minute)
		n.client.Break(func(f *configmaps.Faults) { f.Deaf = true })
		f.server.Edit(configMap, func(data map[string]string) { data["last"] = time.Now().Format(time.RFC3339) })
		time.Sleep(30 * time.Minute)
		if ops := n.List(); len(ops) != 0 {
			t.Errorf("%+v, though a full operation had ended a minute before it was due", ops)
		}
	})
}

// TestStartRestored_IsOneOperationOfTheFleet has two members find out, one after another, that the cluster has
// gone back. Every type is sent once. An operation of the time before counts for nothing.
func TestStartRestored_IsOneOperationOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, 0, "a", "b")
		f.wait("a", f.begin("a", f.full()).ID)
		time.Sleep(time.Minute)
		back := time.Now()
		for _, name := range []string{"b", "a", "b"} {
			time.Sleep(20 * time.Second) // longer than the operation takes
			if err := f.engines[name].StartRestored(t.Context(), back); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		ops := f.engines["a"].List()
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
		f := scheduled(t, time.Hour, "a", "b")
		began := time.Now()
		for n := range 3 {
			next, ok := f.engines["b"].Next()
			if want := time.Duration(n) * time.Hour; !ok || next.Sub(began) < want+59*time.Minute || next.Sub(began) > want+61*time.Minute {
				t.Fatalf("the %dth is due after %v", n+1, next.Sub(began))
			}
			time.Sleep(time.Until(next) - time.Second)
			if got := len(f.engines["a"].List()); got != n {
				t.Fatalf("a second before, there have been %d operations, want %d", got, n)
			}
			time.Sleep(5 * time.Second)
			if got := f.engines["a"].List(); len(got) != n+1 || got[0].Member != scheduler(t, "a", "b") || got[0].Request.Trigger != operations.Scheduled || !got[0].Request.Full() {
				t.Fatalf("when it was due, there have been %d operations, the last %+v", len(got), got)
			}
			f.wait("a", f.engines["a"].List()[0].ID)
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

func TestARequestForEverythingCountsForTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, time.Hour, "a", "b")
		time.Sleep(30 * time.Minute)
		o := f.begin("a", f.full())
		time.Sleep(100 * time.Millisecond)
		if _, ok := f.engines["b"].Next(); ok {
			t.Error("one is due while one is under way")
		}
		f.wait("a", o.ID)
		time.Sleep(5 * time.Second)
		if next, _ := f.engines["b"].Next(); time.Until(next) < 59*time.Minute {
			t.Errorf("the next is due in %v, want an hour after this one", time.Until(next))
		}
		part := f.begin("a", operations.Request{Types: f.catalog.Types()[:1], Label: "things0"})
		before, _ := f.engines["b"].Next()
		f.wait("a", part.ID)
		time.Sleep(5 * time.Second)
		if after, _ := f.engines["b"].Next(); !after.Equal(before) {
			t.Errorf("a part moved it from %v to %v", before, after)
		}
	})
}

func TestAClockThatWasAheadDoesNotEndTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 6)
		f.server.Edit(configMap, func(data map[string]string) { data["last"] = "2999-01-01T00:00:00Z" })
		f.see("a")
		f.start("a", every(time.Hour))
		time.Sleep(61 * time.Minute)
		if n := len(f.engines["a"].List()); n != 1 {
			t.Errorf("%d operations after 61 minutes, want 1", n)
		}
	})
}

func TestSchedule_NoIntervalOrNoTypes_StartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := scheduled(t, 0, "a")
		time.Sleep(time.Hour)
		if next, ok := f.engines["a"].Next(); ok || len(f.server.Data(configMap)) != 0 {
			t.Errorf("due at %v, written %v, want nothing", next, f.server.Data(configMap))
		}
		g := newFixture(t, 0)
		g.see("a")
		g.start("a", every(time.Hour))
		time.Sleep(2 * time.Hour)
		if ops := g.engines["a"].List(); len(ops) != 0 {
			t.Errorf("%+v, want none before types are known", ops)
		}
	})
}
