package restore_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/restore"
)

// TestRestores_TheClusterGoesBack_IsOpenUntilEverythingIsListed also if two signs tell of one restore, and if
// the cluster goes back once more while lists are under way.
func TestRestores_TheClusterGoesBack_IsOpenUntilEverythingIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards the fields below
		var lists []time.Time
		voids := 0
		var r *restore.Restores
		r = restore.New(func(_ context.Context, before time.Time) {
			mu.Lock()
			lists = append(lists, before)
			first := len(lists) == 1
			mu.Unlock()
			time.Sleep(10 * time.Second)
			if first {
				r.Note()
			}
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			voids++
		}, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		if r.Open() || r.Count() != 0 {
			t.Error("it is open before anything has happened")
		}
		began := time.Now()
		r.Note()
		r.Note() // another sign of the same restore
		time.Sleep(20 * time.Second)
		mu.Lock()
		if !r.Open() || r.Count() != 2 || len(lists) != 2 || !lists[0].Equal(began) || !lists[1].Equal(began.Add(13*time.Second)) {
			t.Errorf("open %t, %d restores, lists of what is from before %v", r.Open(), r.Count(), lists)
		}
		mu.Unlock()
		time.Sleep(10 * time.Second)
		mu.Lock()
		if r.Open() || voids != 3 {
			t.Errorf("open %t after the lists; checkpoints were void %d times", r.Open(), voids)
		}
		mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
