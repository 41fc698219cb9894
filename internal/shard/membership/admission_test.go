package membership_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func admission(o *membership.Options, _ *client) { o.Admission = true }

func TestGains_NotAdmitted_MaySendNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "uid-a", admission)
		time.Sleep(time.Second)
		gains, token := a.Gains()
		if a.Owned().Rest().Len() != 0 || a.maySend(7) || gains.All.Rest().Len() != ring.DefaultFormat().Partitions {
			t.Fatalf("may send for %d partitions before any was admitted, %d gained", a.Owned().Rest().Len(), gains.All.Rest().Len())
		}
		a.Admit(token)
		if a.Owned().Rest().Len() != ring.DefaultFormat().Partitions {
			t.Errorf("may send for %d partitions after all were admitted", a.Owned().Rest().Len())
		}
		if gains, _ := a.Gains(); gains.All.Rest().Len() != 0 {
			t.Errorf("%d partitions wait after all were admitted", gains.All.Rest().Len())
		}

		b := start(t, s, "b", "uid-b", admission)
		time.Sleep(time.Second)
		_, old := b.Gains()
		a.leave(t)
		time.Sleep(time.Second)
		if gains, _ := b.Gains(); gains.All.Rest().Len() != ring.DefaultFormat().Partitions {
			t.Errorf("%d partitions wait, want all", gains.All.Rest().Len())
		}
		b.Admit(old) // The later gain has not been prepared.
		if n := b.Owned().Rest().Len(); n == 0 || n == ring.DefaultFormat().Partitions {
			t.Errorf("may send for %d partitions, want those of the first gain alone", n)
		}
		_, token = b.Gains()
		b.Admit(token)
		if n := b.Owned().Rest().Len(); n != ring.DefaultFormat().Partitions {
			t.Errorf("may send for %d partitions in the end, want all", n)
		}
		b.leave(t)
	})
}

func TestOwnedSinceIsWhenAPartitionWasGainedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "uid-a", admission)
		time.Sleep(time.Second)
		_, token := a.Gains()
		a.Admit(token)
		first := make(map[resource.ID]uint64)
		for i := range 200 {
			id := resource.ID(fmt.Sprintf("default/v1/Pod/p%d", i))
			if first[id] = a.OwnedSince(ownership.Kind{}, id); first[id] == 0 {
				t.Fatalf("%s was never gained", id)
			}
		}
		b := start(t, s, "b", "uid-b", admission)
		time.Sleep(time.Second)
		_, token = b.Gains()
		b.Admit(token)
		lost := make(map[resource.ID]bool)
		owned := a.Owned().Rest()
		for id := range first {
			lost[id] = !owned.Has(a.Partition(id)) && b.OwnedSince(ownership.Kind{}, id) > first[id]
		}
		b.leave(t)
		time.Sleep(time.Second)
		_, token = a.Gains()
		a.Admit(token)
		moved := 0
		for id, since := range first {
			if again := a.OwnedSince(ownership.Kind{}, id) > since; again {
				moved++
			} else if lost[id] {
				t.Errorf("%s has come back, and counts from when it was gained first", id)
			}
		}
		if moved == 0 || moved == len(first) {
			t.Errorf("%d of %d objects were away, want some", moved, len(first))
		}
		a.leave(t)
	})
}

func TestHold_ReadyOrNeeded_Joins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := func(o *membership.Options, _ *client) { o.Hold = true }
		s := newServer()
		a := start(t, s, "a", "uid-a", hold)
		time.Sleep(time.Second)
		if a.Holding() || a.Owned().Rest().Len() != ring.DefaultFormat().Partitions {
			t.Fatal("the first member waits although nobody else does the work")
		}
		b := start(t, s, "b", "uid-b", hold)
		time.Sleep(time.Minute)
		if !b.Holding() || s.get("vs-b") != nil || a.Owned().Rest().Len() != ring.DefaultFormat().Partitions {
			t.Error("b has joined before it was ready")
		}
		b.Proceed()
		time.Sleep(time.Second)
		wantAll(t, a, b)
		c := start(t, s, "c", "uid-c", hold)
		time.Sleep(time.Second)
		a.kill()
		b.kill()
		time.Sleep(time.Minute)
		wantAll(t, c)
		c.leave(t)
	})
}
