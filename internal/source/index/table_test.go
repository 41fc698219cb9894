package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// FuzzTable plays a script on a table and on a Go map. Each byte sets or deletes one of 64 keys, so that slots
// are taken, left and moved up all the time.
func FuzzTable(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz"))
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		script := make([]byte, 3000)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		model, table := make(map[string]entry), newTable()
		for i, op := range script {
			key, e := fmt.Sprint("key-", op%64), entry{uint64(i), uint64(op)}
			switch {
			case op < 128:
				model[key] = e
				table.set(key, e)
			case i%500 > 250 || op < 170: // the table shrinks at times
				delete(model, key)
				table.delete(key)
			}
			got, ok := table.get(key)
			if want, known := model[key]; ok != known || got != want || table.len() != len(model) {
				t.Fatalf("step %d: %s is %v %v of %d, want %v %v of %d", i, key, got, ok, table.len(), want, known, len(model))
			}
			if slots := len(table.slots); table.used == slots && slots > 0 || slots > leastSlots && table.used*5 < slots*2-5 {
				t.Fatalf("step %d: %d of %d slots are used", i, table.used, slots)
			}
		}
		all := make(map[string]entry)
		for key, e := range table.all() {
			all[key] = *e
		}
		if diff := cmp.Diff(model, all, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		for key := range model {
			if _, ok := table.get(key); !ok {
				t.Errorf("%s is not found", key)
			}
		}
	})
}

// TestTable_Memory_IsThatOfItsSlots: in the index, an object takes its key, 32 bytes, and a quarter of that.
func TestTable_Memory_IsThatOfItsSlots(t *testing.T) {
	for _, n := range []int{3, 20_000, 70_000, 140_000} {
		rs := make([]resource.Record, n)
		for i := range rs {
			rs[i] = resource.Record{Namespace: "team-a", Name: fmt.Sprintf("deployment-%05d-6b7f9c", i), Digest: 1, ResourceVersion: uint64(i)}
		}
		x, typ := New(nil), resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
		x.Replace(typ, rs, 1)
		slots := x.types[typ].entries.slots
		if want := max(n+n/4+1, leastSlots); len(slots) != want {
			t.Errorf("%d objects: %d slots, want %d", n, len(slots), want)
		}
		if n < 1000 {
			continue
		}
		var with, without runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&with)
		keys := 0
		for i := range rs {
			keys += keySize(rs[i].Namespace, rs[i].Name)
		}
		runtime.KeepAlive(x)
		runtime.GC()
		runtime.ReadMemStats(&without)
		if each, want := float64(with.HeapAlloc-without.HeapAlloc)/float64(n), 42+float64(keys)/float64(n)*1.05; each > want {
			t.Errorf("of %d objects each takes %.1f bytes, want %.1f", n, each, want)
		}
		runtime.KeepAlive(rs)
	}
}

// TestArena_KeysAreThoseOfKey for all names, and the keys lie in blocks.
func TestArena_KeysAreThoseOfKey(t *testing.T) {
	t.Parallel()
	var rs []resource.Record
	for i := range 1000 {
		rs = append(rs, resource.Record{Namespace: strings.Repeat("n", i%3*i%70), Name: strings.Repeat("o", i%251)})
	}
	rs = append(rs, resource.Record{Name: strings.Repeat("long", blockSize)})
	a := newArena(rs)
	var got, want []string
	for _, r := range rs {
		got, want = append(got, a.key(r.Namespace, r.Name)), append(want, Key(r.Namespace, r.Name))
		if namespace, name := split(got[len(got)-1]); namespace != r.Namespace || name != r.Name {
			t.Errorf("%q is split into %q and %q", got[len(got)-1], namespace, name)
		}
	}
	if !slices.Equal(got, want) || a.left != 0 {
		t.Errorf("keys differ, or %d bytes are left over", a.left)
	}
}
