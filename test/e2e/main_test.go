//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestMain keeps messages of the tests' own clients out of the output: API servers are killed here on purpose.
func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	os.Exit(controlplane.Shared(m).Run())
}

// seats are how many stories run at once, as E2E_PARALLEL says. Four keep two cores busy, and leave
// a replica the processor time that its Lease needs.
var seats = sync.OnceValue(func() *fleet.Seats {
	const enough = 4
	n, err := strconv.Atoi(cmp.Or(os.Getenv("E2E_PARALLEL"), strconv.Itoa(enough)))
	if err != nil || n < 1 {
		panic(fmt.Sprintf("E2E_PARALLEL=%s, want a number of stories", os.Getenv("E2E_PARALLEL")))
	}
	return fleet.NewSeats(n)
})

// waits are the seats of stories that only wait for a minute or more: for a stream to be given up, for a verification
// to be due, or for a scan. They cost next to nothing.
var waits = fleet.NewSeats(3)

// fillings bound how many clusters are filled at once. One keeps the two cores busy for seconds: more of them
// starve the API servers of all.
var fillings = fleet.NewSeats(1)

// beside lets a story run beside others, when a seat is free. about is roughly how long it takes: the longest story
// begins first.
func beside(t *testing.T, about time.Duration) {
	t.Helper()
	sit(t, seats(), about)
}

// besideWaiting is [beside] for a story that waits.
func besideWaiting(t *testing.T, about time.Duration) {
	t.Helper()
	sit(t, waits, about)
}

func sit(t *testing.T, seats *fleet.Seats, about time.Duration) {
	t.Helper()
	t.Parallel()
	began := time.Now()
	seats.Take(about)
	t.Cleanup(seats.Give)
	if waited := time.Since(began); waited > time.Second {
		t.Logf("its turn came after %v", waited.Round(time.Second))
	}
}

// besideUnlessMeasured is [beside] for a story that has the machine for itself in the full measure.
func besideUnlessMeasured(t *testing.T, about time.Duration) {
	t.Helper()
	if os.Getenv("E2E_LONG") == "" {
		beside(t, about)
	}
}

// longOnly skips a measurement that takes minutes and a machine for itself, unless the environment asks for it.
func longOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("set E2E_LONG=1: it takes minutes, and a machine for itself")
	}
}

// TestALargeClusterArrivesWholeInLittleMemory is the main job: 20,000 objects of more than 60 types, one replica. It
// has the machine for itself, so that its memory is that of the documentation.
func TestALargeClusterArrivesWholeInLittleMemory(t *testing.T) {
	r := fleet.New(t, fleet.Options{})
	cluster, err := workload.Generate(t.Context(), r.RESTConfig(), workload.Options{Objects: 20_000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster of %d objects made in %v", len(cluster.IDs()), cluster.Took.Round(time.Second))
	p := r.Start(map[string]string{"GOGC": ""})
	p.WaitReady(time.Minute)
	took, objects := r.WaitEqual(2 * time.Minute)
	if objects < 20_000 {
		t.Fatalf("%d objects, want 20,000", objects)
	}
	stats := r.Receiver().Stats()
	now, peak := p.Resident()
	t.Logf("%d objects in step %v after the replica was ready; %d requests, at most %d upserts and %d bytes; %d MiB resident, peak %d MiB",
		objects, took.Round(time.Millisecond), stats.Requests, stats.MaxUpserts, stats.MaxBytes, now>>20, peak>>20)
	if stats.MaxUpserts > 50 || stats.MaxBytes > 1<<20 {
		t.Errorf("a payload of %d upserts, one of %d bytes", stats.MaxUpserts, stats.MaxBytes)
	}
	if stats.Unchanged > 0 {
		t.Errorf("%d upserts changed nothing", stats.Unchanged)
	}
	fleet.Eventually(t, 30*time.Second, func() string {
		if !p.Logged("First sync is complete") {
			return "the log does not say that the first sync is complete"
		}
		return ""
	})
	now, peak = p.Resident()
	t.Logf("at rest: %.1f MiB resident, peak %.1f MiB", float64(now)/(1<<20), float64(peak)/(1<<20))
	const mib = 1 << 20
	if now > 50*mib || peak > 100*mib {
		t.Errorf("%d MiB resident, peak %d MiB; want at most 50 and 100", now/mib, peak/mib)
	}
}
