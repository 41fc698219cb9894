package membership_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

// TestAfterARestoreMembersComeTogetherAndNobodySendsTwice has the cluster go back to a time before a third member
// came. I2: no partition has two senders at any time. That holds for the third member, too, whose Lease is gone.
func TestAfterARestoreMembersComeTogetherAndNobodySendsTwice(t *testing.T) {
	for name, raised := range map[string]uint64{"plain": 0, "with a version that is raised": 1000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				var noticed atomic.Int32
				notice := func(o *membership.Options, _ *client) { o.Restored = func() { noticed.Add(1) } }
				ps := []*process{start(t, s, "a", "uid-a", notice), start(t, s, "b", "uid-b", notice)}
				time.Sleep(20 * time.Second)
				wantAll(t, ps...)
				leases, version := s.backup()
				time.Sleep(time.Minute)
				ps = append(ps, start(t, s, "c", "uid-c", notice))
				time.Sleep(20 * time.Second)
				wantAll(t, ps...)

				s.restore(leases, version, raised)
				for range 600 {
					time.Sleep(100 * time.Millisecond)
					for i := range 4093 {
						n := 0
						for _, p := range ps {
							if p.maySend(i) {
								n++
							}
						}
						if n > 1 {
							t.Fatalf("%d members may send for partition %d", n, i)
						}
					}
				}
				wantAll(t, ps...)
				if noticed.Load() < 2 {
					t.Errorf("%d members have noticed, want those two at least that were there before", noticed.Load())
				}
				for _, p := range ps {
					p.leave(t)
				}
			})
		})
	}
}

// TestRestore_AListShowsItFirst_IsToldOnce has an API server come back that is too busy for anything but a list.
// It refuses the watch, so that the Leases are listed anew, and no Lease can be renewed.
func TestRestore_AListShowsItFirst_IsToldOnce(t *testing.T) {
	for name, raised := range map[string]uint64{"plain": 0, "with a version that is raised": 1000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				var noticed [2]atomic.Int32
				var ps []*process
				for i, pod := range []string{"a", "b"} {
					ps = append(ps, start(t, s, pod, "uid-"+pod, func(o *membership.Options, _ *client) {
						o.Restored = func() { noticed[i].Add(1) }
					}))
				}
				time.Sleep(20 * time.Second)
				leases, version := s.backup()
				time.Sleep(time.Minute)

				for _, p := range ps {
					p.client.set(func() { p.client.busy = true })
				}
				s.restore(leases, version, raised)
				time.Sleep(5 * time.Second)
				for i := range ps {
					if n := noticed[i].Load(); n != 1 {
						t.Errorf("member %d has told %d times that the cluster has gone back, want once", i, n)
					}
				}
				for _, p := range ps {
					p.client.set(func() { p.client.busy = false })
				}
				time.Sleep(time.Minute)
				wantAll(t, ps...)
				for i, p := range ps {
					if n := noticed[i].Load(); n != 1 {
						t.Errorf("member %d has told %d times in the end that the cluster has gone back, want once", i, n)
					}
					p.leave(t)
				}
			})
		})
	}
}
