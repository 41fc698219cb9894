//go:build e2e

package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestSkew_RollingUpgradeAndBack_StaysExact replaces three replicas of another version, one after the other as a
// StatefulSet does, by those of this one, while objects change, and goes back the same way. SKEW_BINARY is the
// program of the other version; hack/release/skew.sh builds it. SKEW_RESENT is how many percent of the objects may
// be sent without need: 1, or 100 where the changelog says that the upgrade costs a resync.
func TestSkew_RollingUpgradeAndBack_StaysExact(t *testing.T) {
	old := os.Getenv("SKEW_BINARY")
	if old == "" {
		t.Skip("SKEW_BINARY names no program of another version: hack/release/skew.sh VERSION does")
	}
	most := 1.0
	if text := os.Getenv("SKEW_RESENT"); text != "" {
		var err error
		if most, err = strconv.ParseFloat(text, 64); err != nil {
			t.Fatal(err)
		}
	}
	const size = 1000
	r := fleet.New(t, fleet.Options{})
	c, h := cluster(t, r, size), newHistory()
	names := []string{"sync-0", "sync-1", "sync-2"}
	var running []*fleet.Replica
	state := make(map[string]string)
	start := func(binary, name string) *fleet.Replica {
		if state[name] == "" {
			state[name] = t.TempDir()
		}
		env := map[string]string{"POD_NAME": name, "STATE_DIR": state[name]}
		if binary == "" {
			return r.Start(env)
		}
		return r.StartBinary(binary, env)
	}
	for _, name := range names {
		running = append(running, start(old, name))
	}
	for _, p := range running {
		p.WaitReady(time.Minute)
	}
	except := func() []resource.ID {
		ids := []resource.ID{resyncs}
		for _, p := range running {
			ids = append(ids, checkpoint(p))
		}
		return ids
	}
	r.WaitEqual(2*time.Minute, except()...)

	for _, way := range []struct{ title, binary string }{{"upgrade", ""}, {"back", old}} {
		mark := r.Mark()
		for i := len(names) - 1; i >= 0; i-- { // a StatefulSet begins with the last
			h.churn(t, c, 2*time.Second, false)
			if code := running[i].Stop(grace); code != 0 {
				t.Errorf("%s: %s ended with code %d", way.title, names[i], code)
			}
			h.churn(t, c, time.Second, false)
			running[i] = start(way.binary, names[i])
			running[i].WaitReady(time.Minute)
		}
		took, objects := r.WaitEqual(2*time.Minute, except()...)
		again := len(fleet.Unexplained(r.Since(mark), func(id resource.ID) bool { return h.anew[id] }))
		share := 100 * float64(again) / float64(objects)
		t.Logf("%s: exact again %v after the last replica was ready, %d of %d objects sent for nothing (%.2f %%)",
			way.title, took.Round(time.Millisecond), again, objects, share)
		if share > most {
			t.Errorf("%s: %.2f %% of the objects were sent for nothing, want %.2f at most", way.title, share, most)
		}
	}
	if two := fleet.Overlapping(r.Receiver().Overlaps(), nil); len(two) > 0 {
		t.Errorf("two senders at one time:\n%v", two)
	}
}
