package stage_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/stage"
)

// TestAStageHasEndedWhenStopReturns checks the promise on which the order of a replica's end rests. The last part
// of a stage has returned before the next stage is stopped.
func TestAStageHasEndedWhenStopReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards ended
		var ended []string
		part := func(name string, takes time.Duration) func(context.Context) error {
			return func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(takes)
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, name)
				return nil
			}
		}
		_, fail := context.WithCancelCause(t.Context())
		first, second := stage.New(fail), stage.New(fail)
		first.Start("slow", part("slow", time.Minute))
		first.Start("quick", part("quick", 0))
		second.Start("later", part("later", 0))
		time.Sleep(time.Hour)
		first.Stop()
		second.Stop()
		if diff := cmp.Diff([]string{"quick", "slow", "later"}, ended); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAPartThatFailsIsNamedAndStopsTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, fail := context.WithCancelCause(t.Context())
		s := stage.New(fail)
		s.Start("good", func(ctx context.Context) error { <-ctx.Done(); return nil })
		s.Start("ended", func(context.Context) error { return nil })
		synctest.Wait()
		if failed.Err() != nil {
			t.Fatal("a part that ends without an error must not stop the others")
		}
		broken := errors.New("address in use")
		s.Start("metrics", func(context.Context) error { return broken })
		<-failed.Done()
		if err := context.Cause(failed); !errors.Is(err, broken) || err.Error() != "metrics: address in use" {
			t.Errorf("cause: %v", err)
		}
		s.Stop()
	})
}
