package membership_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

func TestDeletedLeaseIsMadeAgainAndNobodySendsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		a, b := ps[0], ps[1]
		a.client.set(func() { a.client.cut = true })
		s.remove("vs-a")
		time.Sleep(9 * time.Second)
		if n := b.sends(); n > 2200 {
			t.Errorf("b may send for %d partitions before a can be fenced, want its half", n)
		}
		a.client.set(func() { a.client.cut = false })
		time.Sleep(5 * time.Second)
		wantAll(t, a, b)
		a.leave(t)
		b.leave(t)
	})
}

func TestPodOfTheSameNameWaitsUntilTheOtherIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := ringOf(t, s, "a")[0]
		b := start(t, s, "a", "u2")
		time.Sleep(time.Minute)
		wantAll(t, a)
		if n := b.sends(); n != 0 {
			t.Errorf("the second pod of the name may send for %d partitions, want none", n)
		}
		a.kill()
		time.Sleep(16 * time.Second)
		wantAll(t, b)
		b.leave(t)
	})
}

func TestRingsOfOneNamespaceDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "u1")
		b := start(t, s, "b", "u2", func(o *membership.Options, _ *client) { o.RingName = "other" })
		time.Sleep(20 * time.Second)
		wantAll(t, a)
		wantAll(t, b)
		a.leave(t)
		b.leave(t)
	})
}

func TestMissingPermissionEndsRunWithAClearError(t *testing.T) {
	for _, verb := range []string{"list", "watch", "create"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := start(t, newServer(), "a", "u1", func(_ *membership.Options, c *client) { c.denied = map[string]bool{verb: true} })
				var denied *membership.PermissionError
				if err := <-a.ended; !errors.As(err, &denied) || denied.Verb != verb {
					t.Errorf("Run = %v, want a PermissionError for %s", err, verb)
				} else if !strings.Contains(err.Error(), "not allowed to "+verb+" leases.coordination.k8s.io in namespace default") {
					t.Errorf("it says %q, want it to name the permission", err)
				}
			})
		})
	}
}

func TestPermissionTakenAwayLaterFencesAndIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ringOf(t, newServer(), "a")[0]
		a.client.set(func() { a.client.denied = map[string]bool{"update": true, "get": true} })
		time.Sleep(12 * time.Second)
		if err := a.BeforeWrite(); !errors.Is(err, membership.ErrFenced) {
			t.Errorf("BeforeWrite = %v, want ErrFenced", err)
		}
		a.client.set(func() { a.client.denied = nil })
		time.Sleep(3 * time.Second)
		wantAll(t, a)
		a.leave(t)
	})
}

func TestStalledWatchIsBegunAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		a, b := ps[0], ps[1]
		a.client.set(func() { a.client.deaf = true })
		time.Sleep(3 * time.Second)
		lists := a.client.lists
		c := start(t, s, "c", "uid-c")
		time.Sleep(20 * time.Second)
		a.client.set(func() { a.client.deaf = false })
		if a.client.lists == lists {
			t.Error("the watch that showed nothing was never begun anew")
		}
		time.Sleep(20 * time.Second)
		wantAll(t, a, b, c)
		for _, p := range []*process{a, b, c} {
			p.leave(t)
		}
	})
}

func TestReleaseAfterRunHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		ps[0].kill()
		if err := ps[0].Release(t.Context()); err != nil {
			t.Errorf("Release = %v, want nil", err)
		}
		time.Sleep(500 * time.Millisecond)
		wantAll(t, ps[1])
		ps[1].leave(t)
	})
}

func TestReleaseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ringOf(t, newServer(), "a")[0]
		a.client.set(func() { a.client.cut = true })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := a.Release(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Release = %v, want it to end with its context", err)
		}
		if n := a.sends(); n != 0 {
			t.Errorf("it may still send for %d partitions, want none", n)
		}
		a.kill()
	})
}
