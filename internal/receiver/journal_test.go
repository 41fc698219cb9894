package receiver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// copyLog copies the log of a running receiver, as a crash would leave it, cut to n bytes unless n is negative.
func copyLog(t *testing.T, from string, n int) (dir string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(from, "documents.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n >= 0 {
		log = log[:n]
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "documents.log"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func logSize(t *testing.T, dir string) int {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "documents.log"))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// content is the data that must survive: all fields except the number of the request.
func content(r *rig) map[string][]receiver.Document {
	out := map[string][]receiver.Document{}
	for _, store := range []string{receiver.Instances, receiver.Resources, receiver.Capabilities} {
		for _, d := range r.Documents(store) {
			d.Request = 0
			out[store] = append(out[store], d)
		}
	}
	return out
}

func fill(r *rig) {
	r.t.Helper()
	r.ok(instancesPath, body(many(250, "n/%03d")))
	r.ok(instancesPath, body(nil, "n/007", "n/008"))
	r.ok(instancesPath, body([]map[string]any{instance("n/001", map[string]any{"labels": map[string]any{"ü": "\u2028<&>"}})}))
	r.ok(resourcesPath, body([]map[string]any{item("a", map[string]any{"updatedAt": "first"}), item("b")}))
	r.ok(resourcesPath, body([]map[string]any{item("a", map[string]any{"updatedAt": "second"})}, dotDelete("b")))
}

func TestDocumentsSurviveClose(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	fill(r)
	want := content(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, receiver.Options{Dir: dir})
	if diff := cmp.Diff(want, content(again)); diff != "" || len(want[receiver.Instances]) != 248 {
		t.Errorf("%d instances; after the restart (-want +got):\n%s", len(want[receiver.Instances]), diff)
	}
	again.ok(instancesPath, body([]map[string]any{instance("n/000")}))
	if s := again.Stats(); s.Unchanged != 1 {
		t.Errorf("%d unchanged, want the hash to have survived too", s.Unchanged)
	}
}

// An answered document is in the log at that moment, whatever happens to the process afterwards.
func TestAnsweredDocumentsAreInTheLogOfARunningReceiver(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	var writers sync.WaitGroup
	for w := range 4 { // they share syncs
		writers.Go(func() {
			for i := range 25 {
				r.ok(instancesPath, body([]map[string]any{instance(fmt.Sprintf("w%d/%02d", w, i))}))
			}
		})
	}
	writers.Wait()
	crashed := newRig(t, receiver.Options{Dir: copyLog(t, dir, -1)})
	if diff := cmp.Diff(content(r), content(crashed)); diff != "" || crashed.Len(receiver.Instances) != 100 {
		t.Errorf("%d documents (-running +crashed):\n%s", crashed.Len(receiver.Instances), diff)
	}
}

// TestTornLogKeepsEverythingBeforeTheTear: the frames before a tear survive, and the receiver continues behind
// them.
func TestTornLogKeepsEverythingBeforeTheTear(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	r.ok(instancesPath, body([]map[string]any{instance("a")}))
	one := logSize(t, dir)
	r.ok(instancesPath, body([]map[string]any{instance("b")}))
	two := logSize(t, dir)
	for n := 0; n <= two; n++ {
		want := []string{}
		if n >= one {
			want = append(want, "a")
		}
		if n == two {
			want = append(want, "b")
		}
		torn := copyLog(t, dir, n)
		crashed := newRig(t, receiver.Options{Dir: torn})
		if diff := cmp.Diff(want, crashed.ids(receiver.Instances)); diff != "" {
			t.Fatalf("cut at %d of %d (-want +got):\n%s", n, two, diff)
		}
		if n%97 != 0 { // the other checks are the same for every cut, and each costs a few syncs
			continue
		}
		crashed.ok(instancesPath, body([]map[string]any{instance("c")}))
		if err := crashed.Close(); err != nil {
			t.Fatal(err)
		}
		again := newRig(t, receiver.Options{Dir: torn})
		if diff := cmp.Diff(append(want, "c"), again.ids(receiver.Instances)); diff != "" {
			t.Fatalf("cut at %d and written on (-want +got):\n%s", n, diff)
		}
	}
}

func TestDamagedFrameEndsTheLog(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	r.ok(instancesPath, body([]map[string]any{instance("a")}))
	one := logSize(t, dir)
	r.ok(instancesPath, body([]map[string]any{instance("b")}))
	damaged := copyLog(t, dir, -1)
	path := filepath.Join(damaged, "documents.log")
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log[one+20] ^= 1
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, newRig(t, receiver.Options{Dir: damaged}).ids(receiver.Instances)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestDirectoryIsHeldByOneReceiver(t *testing.T) {
	dir := t.TempDir()
	newRig(t, receiver.Options{Dir: dir})
	if s, err := receiver.New(receiver.Options{Dir: dir, IndexOnSearch: true}); err == nil {
		_ = s.Close()
		t.Error("a second receiver opened the directory")
	}
}

func TestCompactionKeepsTheDocumentsAndShrinksTheLog(t *testing.T) {
	receiver.SetCompactFloor(t, 64<<10)
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	fill(r)
	for i := range 100 {
		r.ok(instancesPath, body([]map[string]any{instance("n/000", map[string]any{
			"annotations": map[string]any{"description": fmt.Sprintf("%d %01000d", i, 0)},
		})}))
		r.ok(instancesPath, body(many(250, "x/%03d")))
		r.ok(instancesPath, body(nil, r.ids(receiver.Instances)[250]))
	}
	if size := logSize(t, dir); size > 2<<20 {
		t.Errorf("log of %d bytes, want it compacted: everything ever written is 8 MB", size)
	}
	crashed := newRig(t, receiver.Options{Dir: copyLog(t, dir, -1)})
	if diff := cmp.Diff(content(r), content(crashed)); diff != "" {
		t.Errorf("after compaction (-running +crashed):\n%s", diff)
	}
}

func TestClearEmptiesOneStoreForGood(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, receiver.Options{Dir: dir})
	fill(r)
	if err := r.Clear(receiver.Instances); err != nil {
		t.Fatal(err)
	}
	crashed := newRig(t, receiver.Options{Dir: copyLog(t, dir, -1)})
	if crashed.Len(receiver.Instances) != 0 || crashed.Len(receiver.Resources) != 1 {
		t.Errorf("%d instances and %d resources, want 0 and 1", crashed.Len(receiver.Instances), crashed.Len(receiver.Resources))
	}
	if r.Clear("unknown") == nil {
		t.Error("an unknown store was cleared")
	}
}
