package ownership_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

func TestMaySendEndsExactlyAtTheFence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a")[0]
	for a.FencedAt() != b.now+10*time.Second { // step to the moment of a renewal
		b.now += 50 * time.Millisecond
		a.Tick(b.now)
		a.see()
		a.write()
		if b.now > time.Minute {
			t.Fatal("no renewal within a minute")
		}
	}
	p := firstOf(a.Owned().Rest())
	if begun := b.now; !a.MaySend(plain, "", p, begun+10*time.Second-1) || a.MaySend(plain, "", p, begun+10*time.Second) || !a.Fenced(begun+10*time.Second) {
		t.Error("want MaySend to be true until a nanosecond before 10 s after the renewal began, and false from then on")
	}
}

func TestFenceIsCountedFromTheBeginningOfARenewal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a")[0]
	b.now += 6 * time.Second
	a.Tick(b.now)
	w, ok := a.BeginWrite(b.now)
	if !ok {
		t.Fatal("no renewal after 6 s")
	}
	begun := b.now
	b.now += 3 * time.Second
	version, _ := b.api.put(w.Lease, w.Base, false)
	a.EndWrite(ownership.Succeeded, version, b.now)
	if got := a.FencedAt(); got != begun+10*time.Second {
		t.Errorf("fenced %v after the renewal began, want 10s", got-begun)
	}
}

func TestMachine_WatchShowsNoClaimYet_SendsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ring("a")
	c := b.join("c", "uid-c", formatOld)
	c.write()
	a := b.ms[0]
	a.see()
	b.now += 300 * time.Millisecond
	a.Tick(b.now)
	a.drain()
	a.write()
	if c.sends() != 0 {
		t.Error("it sends before it has seen its own Lease")
	}
	c.see()
	if c.sends() == 0 {
		t.Error("it does not send though it has seen its own claim, and that the other has given up")
	}
}

func TestPublicationWithUnknownOutcomeCountsAsBothViews(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a")[0]
	b.join("c", "uid-c", formatOld).write()
	a.see()
	b.now += 300 * time.Millisecond
	a.Tick(b.now)
	a.drain()
	w, ok := a.BeginWrite(b.now)
	if diff := cmp.Diff([]string{"a", "c"}, w.Lease.View); !ok || diff != "" {
		t.Fatalf("view that is written (-want +got):\n%s", diff)
	}
	kept := a.sends()
	if kept == 0 || kept == 64 {
		t.Fatalf("it sends for %d partitions while it hands over, want some", kept)
	}
	a.EndWrite(ownership.Unknown, 0, b.now)
	// c goes away again, so the old view would be right, but the write may still land.
	l := b.api.leases["c"]
	l.State, l.Claim = ownership.Released, ownership.Claim{}
	b.api.put(l, l.Version, false)
	b.kill(b.ms[1])
	a.see()
	b.now += 300 * time.Millisecond
	a.Tick(b.now)
	if got := a.sends(); got != kept {
		t.Errorf("it sends for %d partitions, want only the %d that both views give to it", got, kept)
	}
	if _, ok := b.api.put(w.Lease, w.Base, false); !ok {
		t.Fatal("the write cannot land any more, want it to")
	}
	b.settle(2 * time.Second)
	if got := a.sends(); got != 64 {
		t.Errorf("it sends for %d partitions in the end, want all", got)
	}
}

func TestMarkNeedsTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	silent := b.now - ms[0].Status(b.now).Members[1].Heartbeat
	for range 200 { // Only a lives on; it sees its own renewals.
		b.now += 100 * time.Millisecond
		ms[0].Tick(b.now)
		ms[0].see()
		ms[0].write()
		ms[0].see()
		if r := ms[0].Retirements(b.now); len(r) == 1 {
			if d := b.now - silent; d < 15*time.Second || d > 15200*time.Millisecond {
				t.Errorf("marked after %v of silence, want 15 s", d)
			}
			if r[0].Kind != ownership.MarkDead || r[0].Member != "c" || r[0].Version != b.api.leases["c"].Version || r[0].Lease.State != ownership.Dead {
				t.Errorf("retirement is %+v, want a mark of c's Lease on its version", r[0])
			}
			return
		}
	}
	t.Error("nobody was marked dead after 16 s of silence")
}

func TestMachine_PausedMember_MarksNobodyBeforeItHasCaughtUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	b.now += 40 * time.Second
	ms[0].Tick(b.now)
	if r := ms[0].Retirements(b.now); len(r) != 0 {
		t.Errorf("a stopped member wants %v when it goes on, want nothing", r)
	}
}

func TestGainsNameACrashUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	a, c := ms[0], ms[1]
	a.TakeGains()
	had := c.Owned()
	b.kill(c)
	b.settle(17 * time.Second)
	got, want := slices.Collect(a.TakeGains().Crashed.Rest().All()), slices.Collect(had.Rest().All())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions gained by a crash (-want +got):\n%s", diff)
	}
	if g := a.TakeGains(); !g.All.Empty() || !g.Crashed.Empty() {
		t.Errorf("gains were returned twice: %v", g)
	}
}

func TestFormatsNeverMixAndHandOverAsAWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	x := b.join("x", "uid-x", formatNew)
	b.settle(20 * time.Second)
	if x.sends() != 0 || len(x.View()) != 0 {
		t.Errorf("the new format sends for %d partitions with view %v while the old one works, want none", x.sends(), x.View())
	}
	if diff := cmp.Diff([]string{"a", "c"}, ms[0].View()); diff != "" {
		t.Errorf("view of the old format (-want +got):\n%s", diff)
	}
	ms[0].Leave(b.now)
	b.settle(time.Second)
	if x.sends() != 0 || ms[1].sends() != 64 {
		t.Errorf("old and new format send for %d and %d, want all for the last of the old one", ms[1].sends(), x.sends())
	}
	ms[1].Leave(b.now)
	b.settle(time.Second)
	if x.sends() != 64 {
		t.Errorf("the new format sends for %d partitions when the old one is gone, want all", x.sends())
	}
}

func TestAResidualClaimIsStrippedByOthersAndResumedByItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a")[0]
	a.Leave(b.now)
	b.settle(time.Second)
	b.kill(a)
	if l := b.api.leases["a"]; l.State != ownership.Released || !l.Sole || len(l.View) != 1 {
		t.Fatalf("released Lease is %+v, want a residual claim", l)
	}
	saved := b.api.leases["a"]
	successor := b.join("a", "uid-2", formatOld)
	b.settle(100 * time.Millisecond)
	if successor.sends() != 64 {
		t.Errorf("the successor sends for %d partitions, want all at once", successor.sends())
	}

	b = newBench(t)
	b.api.version = saved.Version
	b.api.put(saved, 0, false)
	other := b.join("x", "uid-x", formatOld)
	b.settle(time.Second)
	if l := b.api.leases["a"]; len(l.View) != 0 || other.sends() != 64 {
		t.Errorf("the residual claim has the view %v and another sends for %d, want none and all", l.View, other.sends())
	}
}

// Any member may begin a ring at once that ended in good order. It may not if the last member of the ring did not
// vouch for the end of all others.
func TestARingThatEndedInGoodOrderBeginsAtOnce(t *testing.T) {
	t.Parallel()
	for vouches, want := range map[bool]int{true: 64, false: 0} {
		b := newBench(t)
		a := b.ring("a")[0]
		a.Leave(b.now)
		b.settle(time.Second)
		b.kill(a)
		saved := b.api.leases["a"]
		saved.Vouches = vouches
		b = newBench(t)
		b.api.version = saved.Version
		b.api.put(saved, 0, false)
		other := b.join("x", "uid-x", formatOld)
		b.settle(10 * time.Second)
		if other.sends() != want {
			t.Errorf("vouched for: %v: a newcomer sends for %d partitions, want %d", vouches, other.sends(), want)
		}
	}
}

func TestLeasesOfTheGoneAreCollected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c", "d")
	ms[2].Leave(b.now)
	b.settle(time.Second)
	b.kill(ms[2])
	b.settle(4 * time.Minute)
	if _, ok := b.api.leases["d"]; !ok {
		t.Fatal("the Lease was deleted after four minutes, want it kept for five")
	}
	b.settle(2 * time.Minute)
	if _, ok := b.api.leases["d"]; ok {
		t.Error("the Lease is still there after six minutes")
	}
}

func TestShortAbsenceOfOneMemberMovesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	before := ms[0].View()
	b.api.remove("c", 0) // by hand; c makes it again
	b.settle(time.Second)
	if diff := cmp.Diff(before, ms[0].View()); diff != "" {
		t.Errorf("view after a Lease was deleted and made again (-before +after):\n%s", diff)
	}
	if ms[0].sends()+ms[1].sends() != 64 {
		t.Errorf("they send for %d and %d partitions, want all together", ms[0].sends(), ms[1].sends())
	}
}

func TestRelistKeepsAMemberSettledWhenNothingHasMoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a", "c")[0]
	a.see()
	a.Synced(b.api.list(), b.api.version, b.now)
	if !a.Status(b.now).Settled {
		t.Error("it is not settled after a list that shows what it knew")
	}
	l := b.api.leases["c"]
	l.Publication++
	l.Version = b.api.version + 1
	a.Synced([]ownership.Lease{b.api.leases["a"], l}, l.Version, b.now)
	if a.Status(b.now).Settled {
		t.Error("it is settled though a view was published unseen")
	}
	if a.sends() == 0 {
		t.Error("it gave up what it had")
	}
}

func TestRestoredServerMeansJoiningAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.ring("a")[0]
	b.api = server{leases: make(map[string]ownership.Lease), version: 1}
	a.position = 0
	a.Synced(nil, 1, b.now)
	if a.sends() != 0 {
		t.Errorf("it sends for %d partitions though nothing that it knew is true any more, want none", a.sends())
	}
	b.settle(16 * time.Second)
	if a.sends() != 64 {
		t.Errorf("it sends for %d partitions after a lease duration, want all", a.sends())
	}
}

func TestStatusTellsOrphansAndSinceWhen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ms := b.ring("a", "c")
	b.kill(ms[1])
	for range 120 {
		b.now += 100 * time.Millisecond
		ms[0].Tick(b.now)
		ms[0].write()
		ms[0].see()
	}
	s := ms[0].Status(b.now)
	if s.Members[1].Phase != ownership.Silent || s.Orphans != 0 {
		t.Errorf("c is %s and %d partitions are orphaned, want silent and none: it may be alive", s.Members[1].Phase, s.Orphans)
	}
	dead := b.api.leases["c"]
	dead.State = ownership.Dead
	b.api.put(dead, dead.Version, true)
	ms[0].see()
	at := b.now
	b.now += 150 * time.Millisecond
	s = ms[0].Status(b.now)
	if s.Orphans == 0 || s.Disagreeing != b.now-at || s.Members[1].Phase != ownership.Gone {
		t.Errorf("orphans %d, disagreeing for %v, c is %s; want some, 150ms and gone", s.Orphans, s.Disagreeing, s.Members[1].Phase)
	}
}

func TestTimingsAreValidatedAgainstEachOther(t *testing.T) {
	t.Parallel()
	if err := ownership.DefaultTimings().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	with := func(change func(*ownership.Timings)) ownership.Timings {
		x := ownership.DefaultTimings()
		change(&x)
		return x
	}
	for want, x := range map[string]ownership.Timings{
		"renew interval": with(func(x *ownership.Timings) { x.RenewInterval = 0 }),
		"renew deadline": with(func(x *ownership.Timings) { x.RenewDeadline = 9 * time.Second }),
		"lease duration": with(func(x *ownership.Timings) { x.LeaseDuration = 11 * time.Second }),
		"stability":      with(func(x *ownership.Timings) { x.MaxStability = time.Millisecond }),
		"retention":      with(func(x *ownership.Timings) { x.Retention = 20 * time.Second }),
	} {
		if err := x.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error about the %s", x, err, want)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	s := ownership.FullSet(130)
	if s.Len() != 130 || !s.Has(0) || !s.Has(129) || s.Has(130) || s.Has(-1) || s.Has(1000) {
		t.Errorf("full set of 130 has %d partitions", s.Len())
	}
	if got := slices.Collect(s.All()); len(got) != 130 || got[64] != 64 {
		t.Errorf("All yields %v", got)
	}
	if (ownership.Set{}).Has(0) || !(ownership.Set{}).Equal(ownership.FullSet(0)) || s.Equal(ownership.FullSet(129)) {
		t.Error("the zero Set is not the empty one")
	}
}
