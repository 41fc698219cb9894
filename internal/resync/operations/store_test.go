package operations_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

// TestEverythingArrivesInAConflictStorm has two engines write over slow connections that lose answers.
func TestEverythingArrivesInAConflictStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 200, "a", "b")
		var ids []string
		for i := range 4 {
			for name, n := range f.engines {
				n.client.Break(func(f *configmaps.Faults) { f.Delay, f.Lost = time.Duration(rand.N(300))*time.Millisecond, rand.N(5) })
				o, err := n.Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: fmt.Sprint(name, i)})
				if err == nil { // The answer may be lost, too.
					ids = append(ids, o.ID)
				}
			}
		}
		for _, o := range f.engines["b"].List() {
			if end := f.wait("b", o.ID); end.TypesDone != 200 {
				t.Errorf("it ends as %+v", end)
			}
		}
		for _, id := range ids {
			f.wait("a", id)
		}
		if times, _ := f.done(); len(times) != 200 {
			t.Errorf("%d parts were sent, want 200", len(times))
		}
	})
}

// TestProgressIsWrittenRarely counts the writes of an engine, alone and as one of three members.
func TestProgressIsWrittenRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 20, "a")
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, op operations.Request, p operations.Part, progress func(int, int)) error {
				if op.Label == "quick" {
					return takes(ctx, 10*time.Millisecond)
				}
				for n := range 6000 { // 10 minutes
					progress(n, 1)
					if err := takes(ctx, 100*time.Millisecond); err != nil {
						return err
					}
				}
				return nil
			}
		})
		f.wait("a", f.begin("a", operations.Request{Types: f.catalog.Types(), Label: "quick"}).ID)
		time.Sleep(5 * time.Second)
		if n := f.server.Written(); n > 3 {
			t.Errorf("an operation of less than a second took %d writes, want one with the progress, and two", n)
		}
		before := f.server.Written()
		slow := f.begin("a", operations.Request{Types: f.catalog.Types()[:1], Label: "slow"})
		synctest.Wait() // It has begun the part.
		f.see("a", "b", "c")
		f.wait("a", slow.ID)
		if n := f.server.Written() - before; n > 90 || n < 60 {
			t.Errorf("one part of 10 minutes took %d writes, want about one in 7.5 seconds", n)
		}
	})
}

func TestOldOperationsAreTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 5, "a")
		f.server.Edit(configMap, func(data map[string]string) {
			data["run.nobody.a"] = `{"v":1}`
			data["notes"] = "somebody's own"
			data["op.later"] = `{"v":2}`
		})
		var last string
		for i := range 15 {
			last = f.begin("a", operations.Request{Types: f.catalog.Types(), Label: fmt.Sprint(i)}).ID
			f.wait("a", last)
			time.Sleep(2 * time.Second)
		}
		if ops := f.engines["a"].List(); len(ops) != 10 || ops[0].ID != last || ops[9].Request.Label != "5" {
			t.Errorf("%d operations are kept, from %+v, want the last 10", len(ops), ops)
		}
		data := f.server.Data(configMap)
		if data["notes"] == "" || data["op.later"] == "" || data["run.nobody.a"] != "" || len(data) != 12 {
			t.Errorf("%d keys are kept, want 10, what is not ours, and what is of a later version:\n%v", len(data), data)
		}
	})
}

// TestStore_EveryPartFails_ConfigMapStaysSmall runs operations of 300 types in which every part fails with a long
// message.
func TestStore_EveryPartFails_ConfigMapStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 0, "a")
		for i := range 300 {
			f.catalog.types = append(f.catalog.types, resource.Type{
				Group: "some.longer.name.example.com", Version: "v1alpha1", Resource: fmt.Sprintf("somewhatlongresources%d", i), Kind: fmt.Sprintf("SomewhatLongResource%d", i),
			})
		}
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, p operations.Part, _ func(int, int)) error {
				if err := takes(ctx, 10*time.Millisecond); err != nil {
					return err
				}
				return errors.New(strings.Repeat(p.Key, 20))
			}
		})
		largest := 0
		for i := range 12 {
			id := f.begin("a", operations.Request{Types: f.catalog.Types(), Label: fmt.Sprint(i)}).ID
			f.wait("a", id)
			n := 0
			for k, v := range f.server.Data(configMap) {
				n += len(k) + len(v)
			}
			largest = max(largest, n)
			time.Sleep(3 * time.Second)
		}
		if largest > 256<<10 {
			t.Errorf("the ConfigMap grew to %d bytes, want at most 262144", largest)
		}
		if end := f.engines["a"].List()[5]; end.FailedTypes != 300 || len(end.Failures) != 20 {
			t.Errorf("%d failures are counted and %d kept, want 300 and 20", end.FailedTypes, len(end.Failures))
		}
		f.locked(func() {
			f.behave = func(ctx context.Context, _ string, _ operations.Request, _ operations.Part, _ func(int, int)) error {
				return takes(ctx, time.Hour)
			}
		})
		for i := range 50 {
			if _, err := f.engines["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: fmt.Sprint(i)}); err != nil {
				if !errors.Is(err, operations.ErrBusy) {
					t.Errorf("Start: %v, want ErrBusy", err)
				}
				return
			}
		}
		t.Error("50 operations of 300 types may run at once, want a bound")
	})
}

func TestStore_KeyIsBroken_IsNamedOnceAndHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 6)
		f.see("a")
		var log bytes.Buffer
		f.start("a", func(o *operations.Options, _ *member) {
			o.Log = funcr.New(func(_, args string) {
				if strings.Contains(args, "not understood") {
					log.WriteString(args + "\n")
				}
			}, funcr.Options{})
		})
		synctest.Wait()
		f.server.Edit(configMap, func(data map[string]string) {
			data["op.x"], data["op.y.z"], data["run.x.a"], data["last"], data["junk"] = "{", `{"v":1}`, `{"v":1,"done":"9-1"}`, "yesterday", "\x00"
		})
		end := f.wait("a", f.begin("a", f.full()).ID)
		f.server.Edit(configMap, func(data map[string]string) { data["unrelated"] = "1" })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); end.Status != operations.Done || n != 4 {
			t.Errorf("it ends as %+v; %d lines are logged, want one for each of 4 keys:\n%s", end, n, &log)
		}
		f.server.Edit(configMap, func(data map[string]string) {
			for k := range data {
				if strings.HasPrefix(k, "op.") {
					data[k] = "[]"
				}
			}
		})
		synctest.Wait()
		if ops := f.engines["a"].List(); len(ops) != 0 {
			t.Errorf("%+v, want nothing of what is broken", ops)
		}
	})
}

// TestAPlanThatIsEditedWhileItRunsPanicsNobody shortens the plan while the members run it.
func TestAPlanThatIsEditedWhileItRunsPanicsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 20, "a", "b")
		o := f.begin("a", f.full())
		time.Sleep(5500 * time.Millisecond)
		f.server.Edit(configMap, func(data map[string]string) {
			data["op."+o.ID] = `{"v":1,"trigger":"request","scope":"fleet","member":"a","startedAt":"2026-01-01T00:00:00Z","members":["a"],"parts":[{"t":"nodes.v1","k":"Node","m":0}]}`
		})
		if end := f.wait("b", o.ID); end.Types != 1 {
			t.Errorf("it ends as %+v", end)
		}
	})
}

func TestAConfigMapThatIsDeletedEndsWhatItHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 20, "a", "b")
		o := f.begin("a", f.full())
		waited := make(chan error, 1)
		go func() {
			_, err := f.engines["b"].Wait(t.Context(), o.ID)
			waited <- err
		}()
		time.Sleep(3500 * time.Millisecond)
		f.server.Remove(configMap)
		if err := <-waited; !errors.Is(err, operations.ErrUnknown) {
			t.Errorf("Wait: %v, want ErrUnknown", err)
		}
		synctest.Wait()
		begun := 0
		for _, s := range f.log() {
			if s.ended {
				begun--
			} else {
				begun++
			}
		}
		if begun != 0 {
			t.Errorf("%d parts are under way, want none", begun)
		}
		if end := f.wait("b", f.begin("b", f.full()).ID); end.Status != operations.Done {
			t.Errorf("the next ends as %+v", end)
		}
	})
}
