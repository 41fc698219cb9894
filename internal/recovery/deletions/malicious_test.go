package deletions_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// guessed is how much a replica deletes because of an inventory, in a cluster that holds a/x; version is the present
// version of pods. History is gone.
func guessed(t *testing.T, dir, cluster string, version uint64) (deleted int) {
	t.Helper()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, version)
	s := newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()),
		checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}}}, nil,
		func() []ownership.MemberStatus { return nil },
		func(resource.Type, string, string, uint64, uint64) bool { deleted++; return true }, remember(dir, cluster, "ring", x))
	for i := range 3 {
		s.Step(t.Context(), time.Unix(int64(i)*1000, 0))
	}
	s.ConsultGone(resource.Type{Version: "v1", Resource: "others", Kind: "Other"}, time.Unix(0, 0))
	return deleted
}

// TestNoInventoryThatIsNotOursDeletesAnything damages a good one in every way.
func TestNoInventoryThatIsNotOursDeletesAnything(t *testing.T) {
	t.Parallel()
	good := written(t, "a/x", "a/y", "b/z")
	if n := guessed(t, good, "uid", 100); n != 2 {
		t.Fatalf("the good one finds %d deletions, want 2", n)
	}
	good = written(t, "a/x", "a/y", "b/z")
	entries, err := os.ReadDir(good)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v, want one file", entries, err)
	}
	name := entries[0].Name()
	content, err := os.ReadFile(filepath.Join(good, name))
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, content []byte, cluster string, version uint64) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := guessed(t, dir, cluster, version); n != 0 {
			t.Errorf("%s: %d documents are deleted", what, n)
		}
	}
	try("of another cluster", content, "another", 100)
	try("empty", nil, "uid", 100)
	for n := range content {
		try(fmt.Sprintf("cut after %d bytes", n), content[:n], "uid", 100)
		flipped := bytes.Clone(content)
		flipped[n] ^= 1 << (n % 8)
		try(fmt.Sprintf("bit %d of byte %d flipped", n%8, n), flipped, "uid", 100)
	}
	try("ten times as long", bytes.Repeat(content, 10), "uid", 100)
	try("with something behind it", append(bytes.Clone(content), make([]byte, 9*len(content))...), "uid", 100)

	var stale []string
	for i := range 1000 {
		stale = append(stale, fmt.Sprintf("a/m%03d", i))
	}
	if n := guessed(t, written(t, append(stale, "a/x")...), "uid", 100); n != 0 {
		t.Errorf("with ten times as many names as there are objects: %d documents are deleted", n)
	}
}
