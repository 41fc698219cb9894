package inventory_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// source is the content of an inventory in a test.
type source struct {
	mu         sync.Mutex // guards the fields below
	generation uint64
	types      map[resource.Type][]string
}

func (s *source) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

func (s *source) Types() iter.Seq[inventory.TypeSnapshot] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []inventory.TypeSnapshot
	for _, t := range slices.SortedFunc(maps.Keys(s.types), resource.CompareTypes) {
		all = append(all, snapshot(t, 100+s.generation, s.types[t]...))
	}
	return slices.Values(all)
}

func (s *source) set(t resource.Type, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.types[t] = names
}

// rig is a writer in a bubble.
type rig struct {
	*inventory.Writer
	t      *testing.T
	dir    string
	source *source
	reg    *prometheus.Registry
	stop   func()

	mu    sync.Mutex // guards lines
	lines []string
}

// start runs a writer over the file that an earlier process left in dir.
func start(t *testing.T, dir string, prepare ...func(k *inventory.Writer)) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, source: &source{types: map[resource.Type][]string{}}, reg: prometheus.NewRegistry()}
	before, err := inventory.Open(dir, ours, noLimit)
	if err != nil {
		before = nil
	}
	log := funcr.New(func(_, line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, line)
	}, funcr.Options{})
	k, err := inventory.NewWriter(dir, ours, r.source, inventory.WriterOptions{Before: before, Registerer: r.reg, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r.Writer = k
	for _, p := range prepare {
		p(k)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }() // Ends with stop.
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *rig) written() string {
	r.t.Helper()
	inv, err := inventory.Open(r.dir, ours, noLimit)
	if err != nil {
		return err.Error()
	}
	defer inv.Close()
	var b strings.Builder
	for _, info := range inv.Types() {
		fmt.Fprintf(&b, "%s:", info.Type.GroupResource())
		for o, err := range inv.Objects(info.Type) {
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(&b, " %s", o.Name)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func (r *rig) wantWritten(want string) {
	r.t.Helper()
	if got := r.written(); got != want {
		r.t.Errorf("the file holds %q, want %q", got, want)
	}
}

func (r *rig) wantMetric(name string, want float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric(); f.GetName() == "k8s_vectordb_sync_inventory_"+name && len(m) == 1 {
			if got := m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue() + float64(m[0].GetHistogram().GetSampleCount()); got != want {
				r.t.Errorf("%s is %v, want %v", name, got, want)
			}
			return
		}
	}
	r.t.Errorf("there is no metric %s", name)
}

func (r *rig) logged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// pass lets time pass, and waits until everything that it starts has ended.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWriterWritesWhenSomethingChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir)
		r.source.set(pods, "shop/a")
		pass(59 * time.Second)
		if _, err := os.Stat(path(dir)); err == nil {
			t.Error("written before the interval is over")
		}
		pass(time.Second)
		r.wantWritten("pods: a; ")
		first, err := os.Stat(path(dir))
		if err != nil {
			t.Fatal(err)
		}
		r.wantMetric("bytes", float64(first.Size()))
		r.wantMetric("objects", 1)
		r.wantMetric("timestamp_seconds", float64(time.Now().Unix()))

		pass(10 * time.Minute)
		if later, err := os.Stat(path(dir)); err != nil || !os.SameFile(first, later) {
			t.Errorf("written again without a change: %v", err)
		}
		r.wantMetric("timestamp_seconds", float64(time.Now().Unix())) // it is up to date all the same
		r.wantMetric("write_duration_seconds", 1)

		r.source.set(pods, "shop/a", "shop/b")
		pass(time.Minute)
		r.wantWritten("pods: a b; ")
		r.wantMetric("write_duration_seconds", 2)
		r.wantMetric("write_errors_total", 0)
		if lines := r.logged(); len(lines) > 0 {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestWriterWritesAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir)
		r.source.set(pods, "shop/a")
		r.stop()
		r.wantWritten("pods: a; ")
	})
}

// The names of the earlier inventory stay until they were searched: those of types without a list, and those of
// objects that the lists of other types lack.
func TestWriterCarriesOnWhatIsNotSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(nodes, 1, "n"), snapshot(pods, 2, "shop/a", "shop/c", "shop/e"), snapshot(widgets, 3, "shop/w"))
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir)
		r.source.set(pods, "shop/b", "shop/c", "shop/d", "shop/f")
		r.source.set(deployments, "shop/x")
		r.wantMetric("unsettled_types", 3)
		pass(time.Minute)
		r.wantWritten("nodes: n; pods: a b c d e f; deployments.apps: x; widgets.example.com: w; ")

		r.Settle(pods, deployments)
		pass(time.Minute)
		r.wantWritten("nodes: n; pods: b c d f; deployments.apps: x; widgets.example.com: w; ")
		r.wantMetric("unsettled_types", 2)
		if r.Unsettled(pods) || !r.Unsettled(nodes) || r.Unsettled(deployments) {
			t.Error("Unsettled does not say what was settled")
		}

		r.stop() // the next process carries the rest on
		next := start(t, dir)
		next.source.set(nodes)
		pass(time.Minute)
		next.wantWritten("nodes: n; pods: b c d f; deployments.apps: x; widgets.example.com: w; ")
		next.Settle(nodes, pods, deployments, widgets)
		pass(time.Minute)
		next.wantWritten("nodes:; ")
	})
}

// full is a disk with room for so many bytes.
type full struct {
	io.WriteCloser
	room *atomic.Int64
}

func (f full) Write(p []byte) (int, error) {
	n := min(len(p), int(f.room.Load()))
	f.room.Add(-int64(n))
	if n < len(p) {
		return n, &os.PathError{Op: "write", Path: "inventory.tmp", Err: syscall.ENOSPC}
	}
	return f.WriteCloser.Write(p)
}

func TestADiskThatIsFullIsNotedOnceAndHarmsNothing(t *testing.T) {
	t.Parallel()
	for name, onSync := range map[string]bool{"while writing": false, "while syncing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, snapshot(nodes, 1, "n"))
			synctest.Test(t, func(t *testing.T) {
				var room atomic.Int64
				var unsynced atomic.Bool
				room.Store(100)
				if onSync {
					room.Store(1 << 20)
					unsynced.Store(true)
				}
				r := start(t, dir, func(k *inventory.Writer) {
					inventory.OnDisk(k, func(path string) (io.WriteCloser, func() error, error) {
						f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
						return full{f, &room}, func() error {
							if unsynced.Load() {
								return syscall.ENOSPC
							}
							return nil
						}, err
					})
				})
				r.source.set(pods, "shop/a")
				pass(10 * time.Minute)
				r.wantWritten("nodes: n; ")
				r.wantMetric("write_errors_total", 10)
				if _, err := os.Stat(filepath.Join(dir, "inventory.tmp")); err == nil {
					t.Error("the unfinished file takes up room")
				}
				if lines := r.logged(); len(lines) != 1 || !strings.Contains(lines[0], "Inventory cannot be written") {
					t.Errorf("logged %q, want one line", lines)
				}
				room.Store(1 << 20)
				unsynced.Store(false)
				pass(time.Minute)
				r.wantWritten("nodes: n; pods: a; ")
				if lines := r.logged(); len(lines) != 2 || !strings.Contains(lines[1], "written again") {
					t.Errorf("logged %q, want two lines", lines)
				}
				pass(time.Hour)
				r.wantMetric("write_errors_total", 10)
			})
		})
	}
}

func TestADirectoryThatCannotBeMadeHarmsNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, filepath.Join(file, "state"))
		r.source.set(pods, "shop/a")
		pass(3 * time.Minute)
		r.wantMetric("write_errors_total", 3)
		r.stop()
		r.wantMetric("write_errors_total", 4)
		if lines := r.logged(); len(lines) != 1 {
			t.Errorf("logged %q, want one line", lines)
		}
	})
}

// An earlier inventory that becomes unreadable costs one write and its own names, no more.
func TestAnEarlierInventoryThatIsLostDoesNotHoldUpTheNext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(nodes, 1, "n"), snapshot(pods, 2, "shop/a"))
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir)
		if err := os.Truncate(path(dir), 34); err != nil {
			t.Fatal(err)
		}
		r.source.set(pods, "shop/b")
		pass(3 * time.Minute)
		r.wantWritten("pods: b; ")
		r.wantMetric("write_errors_total", 2) // one for each type
	})
}

func TestWriterCreationIsRefusedWithoutCluster(t *testing.T) {
	t.Parallel()
	if _, err := inventory.NewWriter(t.TempDir(), inventory.Meta{Ring: "main"}, nil, inventory.WriterOptions{}); err == nil {
		t.Error("NewWriter takes an inventory of no cluster")
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	if _, err := inventory.NewWriter(t.TempDir(), ours, &source{}, inventory.WriterOptions{Registerer: reg}); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if diff := cmp.Diff(0, len(problems)); err != nil || diff != "" {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
