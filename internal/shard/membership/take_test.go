package membership_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

var (
	secrets = ownership.Kind{Target: "default", Version: "v1", Resource: "secrets"}
	pods    = ownership.Kind{Target: "default", Version: "v1", Resource: "pods"}
)

// senders returns, for many partitions, how many replicas may send objects of a kind in a namespace.
func senders(t *testing.T, k ownership.Kind, namespace string, ps ...*process) []int {
	t.Helper()
	counts := make([]int, len(ps))
	for i := range 200 {
		id, sum := resource.ID(namespace+"/v1/X/"+string(rune('a'+i%26))+time.Duration(i).String()), 0
		for j, p := range ps {
			if p.MaySendOf(k, namespace, id) {
				counts[j]++
				sum++
			}
		}
		if sum != 1 {
			t.Fatalf("%d replicas may send %s, want one", sum, id)
		}
	}
	return counts
}

func TestTake_PartOfAType_HasOneSenderUntilItIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		taken, err := ps[0].Take(t.Context(), []ownership.Part{{Kind: pods, From: "m"}})
		if err != nil {
			t.Fatal(err)
		}
		if n := senders(t, pods, "n", ps...); n[0] != 200 {
			t.Errorf("who has taken the part sends %d of 200 objects of it", n[0])
		}
		for k, namespace := range map[ownership.Kind]string{pods: "a", secrets: "n"} {
			if n := senders(t, k, namespace, ps...); n[0] == 0 || n[1] == 0 {
				t.Errorf("of what is not in the part the two send %v, want a share each", n)
			}
		}
		c := start(t, s, "c", "uid-c") // A member that joins meanwhile has its share of the other parts.
		time.Sleep(time.Second)
		wantAll(t, ps[0], ps[1], c)
		if n := senders(t, pods, "n", ps[0], ps[1], c); n[0] != 200 {
			t.Errorf("after a join it sends %d of 200 objects of the part", n[0])
		}
		taken.Give()
		time.Sleep(time.Second)
		if n := senders(t, pods, "n", ps[0], ps[1], c); n[0] == 0 || n[1] == 0 || n[2] == 0 {
			t.Errorf("after it was given back the three send %v, want a share each", n)
		}
		for _, p := range append(ps, c) {
			p.leave(t)
		}
	})
}

func TestALoneMemberTakesAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "uid-a")
		time.Sleep(time.Second)
		for range 3 {
			began := time.Now()
			taken, err := a.Take(t.Context(), []ownership.Part{{Kind: pods}, {Kind: secrets}})
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d > time.Second {
				t.Errorf("it took %v without anybody to wait for", d)
			}
			if got := s.get("vs-a").Annotations["vectordb-sync.io/takes"]; got != "default//v1/pods//,default//v1/secrets//" {
				t.Errorf("its Lease says that it takes %q", got)
			}
			wantAll(t, a)
			taken.Give()
		}
		time.Sleep(time.Second)
		if got, ok := s.get("vs-a").Annotations["vectordb-sync.io/takes"]; ok {
			t.Errorf("its Lease still says that it takes %q", got)
		}
		a.leave(t)
	})
}

func TestATakerThatDiesLeavesThePartToItsOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b", "c")
		if _, err := ps[2].Take(t.Context(), []ownership.Part{{Kind: pods}}); err != nil {
			t.Fatal(err)
		}
		ps[2].kill()
		time.Sleep(17 * time.Second)
		if n := senders(t, pods, "n", ps[0], ps[1]); n[0] == 0 || n[1] == 0 {
			t.Errorf("the survivors send %v, want a share each", n)
		}
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestOfTwoThatTakeOnePartOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		type end struct {
			by    int
			taken *membership.Taken
		}
		ends := make(chan end)
		for i, p := range ps {
			go func() {
				for {
					taken, err := p.Take(t.Context(), []ownership.Part{{Kind: pods, From: "g"}, {Kind: secrets}})
					if err == nil {
						ends <- end{i, taken}
						return
					}
					if !errors.Is(err, membership.ErrLost) {
						t.Error(err)
						return
					}
				}
			}()
		}
		first := <-ends
		time.Sleep(time.Minute)
		select {
		case <-ends:
			t.Fatal("both have taken the part")
		case <-first.taken.Lost():
			t.Fatal("it was lost to who came second")
		default:
		}
		first.taken.Give()
		second := <-ends
		if second.by == first.by {
			t.Error("one has taken it twice")
		}
		second.taken.Give()
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestTake_LeaseIsLost_PartsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		taken, err := ps[0].Take(t.Context(), []ownership.Part{{Kind: pods}})
		if err != nil {
			t.Fatal(err)
		}
		s.remove("vs-a")
		<-taken.Lost()
		taken.Give()
		time.Sleep(20 * time.Second)
		senders(t, pods, "n", ps...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ps[0].Take(ctx, []ownership.Part{{Kind: pods}}); !errors.Is(err, context.Canceled) {
			t.Errorf("taking without time ends with %v", err)
		}
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestMembersWithDifferentReceiversFormNoRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		duty := func(d string) func(*membership.Options, *client) {
			return func(o *membership.Options, _ *client) { o.Duty = d }
		}
		a := start(t, s, "a", "uid-a", duty("one"))
		time.Sleep(20 * time.Second)
		b := start(t, s, "b", "uid-b", duty("two"))
		time.Sleep(time.Minute)
		wantAll(t, a)
		if b.sends() != 0 || len(b.View().View) != 0 {
			t.Errorf("the other sends for %d partitions, want none", b.sends())
		}
		if m := a.View().Members; len(m) != 2 || !m[1].Stranger {
			t.Errorf("the members are %+v, want the other named as a stranger", m)
		}
		a.leave(t)
		time.Sleep(time.Second)
		wantAll(t, b)
		b.leave(t)
	})
}

// TestThoseWhoTakeManyPartsAtOnceAllGoOn: no member may keep one part while it waits for another that is kept
// likewise.
func TestThoseWhoTakeManyPartsAtOnceAllGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := ringOf(t, newServer(), "a", "b", "c")
		var many []ownership.Part
		for i := range 12 {
			many = append(many, ownership.Part{Kind: ownership.Kind{Target: "default", Version: "v1", Resource: fmt.Sprint("things", i)}})
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var all sync.WaitGroup
		for _, p := range ps {
			all.Go(func() {
				for rounds := 0; rounds < 5; {
					taken, err := p.Take(ctx, many)
					switch {
					case err == nil:
						time.Sleep(time.Second)
						taken.Give()
						rounds++
					case !errors.Is(err, membership.ErrLost):
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("15 turns of a second took %v", took)
		}
		for _, p := range ps {
			p.leave(t)
		}
	})
}
