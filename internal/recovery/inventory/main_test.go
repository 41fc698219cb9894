package inventory_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods        = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	nodes       = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
	deployments = resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	widgets     = resource.Type{Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Widget", Namespaced: true}

	ours    = inventory.Meta{Cluster: "uid-1", Ring: "main"}
	noLimit inventory.Limits
)

func snapshot(t resource.Type, version uint64, names ...string) inventory.TypeSnapshot {
	return inventory.TypeSnapshot{Type: t, Version: version, Names: slices.Values(names)}
}

func snapshots(s ...inventory.TypeSnapshot) iter.Seq[inventory.TypeSnapshot] { return slices.Values(s) }

// write writes an inventory, which must succeed.
func write(t testing.TB, dir string, s ...inventory.TypeSnapshot) inventory.Written {
	t.Helper()
	w, err := inventory.Write(t.Context(), dir, inventory.Meta{Cluster: "uid-1", Ring: "main", Written: time.Unix(1000, 0)}, snapshots(s...))
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return w
}

// open opens an inventory, which must be intact.
func open(t testing.TB, dir string) *inventory.Inventory {
	t.Helper()
	inv, err := inventory.Open(dir, ours, noLimit)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = inv.Close() })
	return inv
}

// names returns the names of each type in an inventory.
func names(t testing.TB, inv *inventory.Inventory) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, info := range inv.Types() {
		list := []string{}
		for o, err := range inv.Objects(info.Type) {
			if err != nil {
				t.Fatalf("Objects(%s): %v", info.Type, err)
			}
			list = append(list, o.Namespace+"/"+o.Name)
		}
		if len(list) != info.Objects {
			t.Errorf("%s: %d objects, and %d are promised", info.Type, len(list), info.Objects)
		}
		all[info.Type.String()] = list
	}
	return all
}

func path(dir string) string { return filepath.Join(dir, "inventory") }

func read(t testing.TB, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// put writes a file that no writer has made.
func put(t testing.TB, text []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(path(dir), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// forged is a file with one section and a right checksum, whatever the section holds.
func forged(t testing.TB, names []byte, edit func(section map[string]any)) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("k8s-vectordb-sync-inventory/0001\n")
	start := b.Len()
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(names); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	end := b.Len()
	section := map[string]any{"version": "v1", "resource": "pods", "kind": "Pod", "namespaced": true,
		"resourceVersion": 7, "objects": 1, "offset": start, "bytes": end - start, "names": len(names)}
	edit(section)
	if gap, ok := section["gap"].(int); ok { // between the sections and the table
		b.Write(make([]byte, gap))
		end += gap
	}
	table, err := json.Marshal(map[string]any{"cluster": "uid-1", "ring": "main", "written": time.Unix(1, 0), "types": []any{section}})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(table)
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(end)))
	return sealed(append(b.Bytes(), make([]byte, 8)...))
}

// sealed puts the right checksum into the last 8 bytes.
func sealed(text []byte) []byte {
	body := text[:len(text)-8]
	return binary.BigEndian.AppendUint64(slices.Clip(body), xxhash.Sum64(body))
}

// entries encodes names as a section does.
func entries(names ...string) []byte {
	var b []byte
	before := ""
	for _, n := range names {
		shared := 0
		for shared < len(before) && shared < len(n) && before[shared] == n[shared] {
			shared++
		}
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(n)-shared))
		b = append(b, n[shared:]...)
		before = n
	}
	return b
}
