package resync_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

// fillForever runs a filler until the test ends.
func (r *rig) fillForever() {
	f := &resync.Filler{Lister: r.lister, Catalog: r.index, Target: r.target}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	r.t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}))
}

func (tg *target) setEvicted(types map[resource.Type]bool) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.evicted = types
}

func TestEvictedObjectsAreFilledWithWhatIsCurrent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, resync.Options{})
		r.exist(pods, some(4)...)
		r.index.Upsert(pods, rec("a", "o01", 2))
		room := r.target.fill()
		r.target.setEvicted(map[resource.Type]bool{pods: false})
		r.fillForever()
		time.Sleep(time.Minute)
		if got := r.lister.take(); len(got) != 0 {
			t.Errorf("asked for %v while there is no room", got)
		}
		r.target.setEvicted(nil)
		room()
		synctest.Wait()
		if diff := cmp.Diff(ids("o00", "o02", "o03"), r.target.filled); diff != "" {
			t.Error(diff)
		}
		if r.target.flushed == 0 {
			t.Error("the last batch would wait to be full")
		}
		r.lister.take()
		time.Sleep(time.Minute)
		if got := r.lister.take(); len(got) != 0 {
			t.Errorf("asked for %v although nothing is evicted", got)
		}
	})
}

// TestFill_AnObjectIsBehindItsFormerOwner_TheListIsExact: any other list costs the API server less.
func TestFill_AnObjectIsBehindItsFormerOwner_TheListIsExact(t *testing.T) {
	for _, exact := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, resync.Options{})
			r.exist(pods, some(1)...)
			r.target.setEvicted(map[resource.Type]bool{pods: exact})
			r.fillForever()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if len(r.target.filled) == 0 || r.lister.inexact == exact || r.target.exact != exact {
				t.Errorf("%d filled, inexact list: %v, filled as exact: %v, want an exact list: %v", len(r.target.filled), r.lister.inexact, r.target.exact, exact)
			}
		})
	}
}

func TestFillingTriesAgainAfterAPause(t *testing.T) {
	for name, tt := range map[string]struct {
		fail  error
		lists int // within a minute
	}{
		"after a failure":                    {errors.New("forbidden"), 6},
		"soon, when a list has only expired": {expiring(map[int]int{1: 1})(nil, pods, 1, 1), 60},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, resync.Options{})
				r.exist(pods, some(1)...)
				r.lister.before = func(context.Context, resource.Type, int, int) error { return tt.fail }
				r.target.setEvicted(map[resource.Type]bool{pods: false})
				r.fillForever()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := len(r.lister.take()); got != tt.lists {
					t.Errorf("%d lists in a minute, want %d", got, tt.lists)
				}
				r.lister.mu.Lock()
				r.lister.before = nil
				r.lister.mu.Unlock()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if len(r.target.filled) == 0 {
					t.Error("not filled when lists succeed again")
				}
			})
		})
	}
}
