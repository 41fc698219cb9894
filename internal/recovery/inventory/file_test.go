package inventory_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
)

func TestOpen_AfterWrite_ReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	long := "shop/" + strings.Repeat("x", 60_000)
	w := write(t, dir,
		snapshot(nodes, 11, "a", "ab", "b", "ü"),
		snapshot(pods, 18446744073709551615, "default/web-1", "default/web-10", "default/web-2", "shop/cart", long),
		snapshot(pods.In("shop"), 12, "shop/cart"),
		snapshot(deployments, 0),
	)
	inv := open(t, dir)
	want := map[string][]string{
		"nodes.v1":            {"/a", "/ab", "/b", "/ü"},
		"pods.v1":             {"default/web-1", "default/web-10", "default/web-2", "shop/cart", long},
		"pods.v1@shop":        {"shop/cart"},
		"deployments.v1.apps": {},
	}
	for range 2 { // each iteration reads again
		if diff := cmp.Diff(want, names(t, inv)); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	}
	infos := []inventory.TypeInfo{{Type: nodes, Version: 11, Objects: 4}, {Type: pods, Version: 18446744073709551615, Objects: 5}, {Type: pods.In("shop"), Version: 12, Objects: 1}, {Type: deployments}}
	if diff := cmp.Diff(infos, inv.Types()); diff != "" {
		t.Errorf("Types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(inventory.Meta{Cluster: "uid-1", Ring: "main", Written: time.Unix(1000, 0).UTC()}, inv.Meta()); diff != "" {
		t.Errorf("Meta (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(inventory.Written{Bytes: int64(len(read(t, dir))), Types: 4, Objects: 10}, w); diff != "" {
		t.Errorf("Written (-want +got):\n%s", diff)
	}
	if inv.Bytes() != w.Bytes {
		t.Errorf("Bytes is %d, want %d", inv.Bytes(), w.Bytes)
	}
	for range inv.Objects(widgets) {
		t.Error("a type that is not there has objects")
	}
	for range inv.Objects(pods) {
		break // ends the reading without an error
	}
}

func TestAnEmptyInventoryIsOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir)
	if got := names(t, open(t, dir)); len(got) > 0 {
		t.Errorf("names are %v, want none", got)
	}
}

// TestEveryDamageIsRefused changes each byte of a small file in three ways, and cuts the file at each place.
func TestEveryDamageIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(nodes, 11, "a", "b"), snapshot(pods, 12, "default/web-1", "shop/cart"))
	good := read(t, dir)
	if _, err := inventory.Parse(good, noLimit); err != nil {
		t.Fatalf("the file itself is refused: %v", err)
	}
	refused := func(what string, text []byte) {
		t.Helper()
		_, err := inventory.Parse(text, noLimit)
		if !errors.Is(err, inventory.ErrCorrupt) && !errors.Is(err, inventory.ErrFormat) {
			t.Errorf("%s: error is %v, want one that says the file is damaged or of another format", what, err)
		}
	}
	for i := range good {
		for _, bits := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(good)
			bad[i] ^= bits
			refused(fmt.Sprintf("byte %d xor %#x", i, bits), bad)
		}
		refused(fmt.Sprintf("cut after %d bytes", i), good[:i])
		refused(fmt.Sprintf("without byte %d", i), slices.Delete(slices.Clone(good), i, i+1))
	}
	refused("with a byte more", append(slices.Clone(good), 0))
	refused("ten times the size", bytes.Repeat(good, 10))
	refused("padded to ten times the size", append(slices.Clone(good), make([]byte, 9*len(good))...))
}

func TestOpenTellsByTypeWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(pods, 12, "default/web-1", "shop/cart"))
	good := read(t, dir)
	future := slices.Clone(good)
	copy(future[len("k8s-vectordb-sync-inventory/"):], "0002")
	for name, tt := range map[string]struct {
		text   []byte
		meta   inventory.Meta
		limits inventory.Limits
		want   error
	}{
		"another cluster":      {good, inventory.Meta{Cluster: "uid-2", Ring: "main"}, noLimit, inventory.ErrForeign},
		"another ring":         {good, inventory.Meta{Cluster: "uid-1", Ring: "other"}, noLimit, inventory.ErrForeign},
		"a later version":      {sealed(future), ours, noLimit, inventory.ErrFormat},
		"empty":                {nil, ours, noLimit, inventory.ErrCorrupt},
		"something else":       {[]byte("apiVersion: v1\n"), ours, noLimit, inventory.ErrCorrupt},
		"too long":             {good, ours, inventory.Limits{FileBytes: int64(len(good)) - 1}, inventory.ErrTooLarge},
		"too many names":       {good, ours, inventory.Limits{NameBytes: 20}, inventory.ErrTooLarge},
		"cut in the middle":    {good[:len(good)/2], ours, noLimit, inventory.ErrCorrupt},
		"only a header":        {good[:33], ours, noLimit, inventory.ErrCorrupt},
		"a table out of place": {sealed(slices.Concat(good[:len(good)-16], make([]byte, 16))), ours, noLimit, inventory.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv, err := inventory.Open(put(t, tt.text), tt.meta, tt.limits)
			if !errors.Is(err, tt.want) || inv != nil {
				t.Errorf("Open: %v, %v, want %v", inv, err, tt.want)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		if _, err := inventory.Open(t.TempDir(), ours, noLimit); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v, want that there is none", err)
		}
	})
	t.Run("no file but a directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := inventory.Open(dir, ours, noLimit); !errors.Is(err, inventory.ErrCorrupt) {
			t.Errorf("Open: %v, want that it is no inventory", err)
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		if _, err := inventory.Open(put(t, good), inventory.Meta{}, noLimit); err == nil {
			t.Error("Open wants to know neither cluster nor ring")
		}
	})
}

// TestForgedFilesAreRefused has files with a right checksum. It is not parallel, because it counts allocations.
func TestForgedFilesAreRefused(t *testing.T) {
	keep := func(map[string]any) {}
	set := func(key string, v any) func(map[string]any) { return func(s map[string]any) { s[key] = v } }
	if _, err := inventory.Parse(forged(t, entries("a/b"), keep), noLimit); err != nil {
		t.Fatalf("what is forged rightly is refused: %v", err)
	}
	two := set("objects", 2)
	for name, tt := range map[string]struct {
		names []byte
		edit  func(map[string]any)
		want  error
	}{
		"more objects than names":          {entries("a/b"), two, inventory.ErrCorrupt},
		"more objects than there are":      {entries("a/bcdefgh"), two, inventory.ErrCorrupt},
		"fewer objects than there are":     {entries("a/b", "a/c"), keep, inventory.ErrCorrupt},
		"a negative number of objects":     {entries("a/b"), set("objects", -1), inventory.ErrCorrupt},
		"names out of order":               {entries("a/c", "a/b"), two, inventory.ErrCorrupt},
		"a name twice":                     {[]byte{0, 3, 'a', '/', 'b', 3, 0, 0, 0}, two, inventory.ErrCorrupt},
		"a name that only looks new":       {[]byte{0, 3, 'a', '/', 'b', 2, 1, 'b'}, two, inventory.ErrCorrupt},
		"a name that shares what is not":   {[]byte{1, 3, 'a', '/', 'b'}, keep, inventory.ErrCorrupt},
		"a name of 1 GiB":                  {slices.Concat([]byte{0}, binary.AppendUvarint(nil, 1<<30), []byte("aaaa")), keep, inventory.ErrCorrupt},
		"a name of 2^64-1 bytes":           {slices.Concat([]byte{0}, binary.AppendUvarint(nil, 1<<64-1), []byte("aaaa")), keep, inventory.ErrCorrupt},
		"a number without end":             {bytes.Repeat([]byte{0xff}, 20), keep, inventory.ErrCorrupt},
		"fewer bytes than announced":       {entries("a/b"), set("names", 6), inventory.ErrCorrupt},
		"a bomb that says so":              {make([]byte, 1<<20), set("names", 1<<40), inventory.ErrTooLarge},
		"a bomb that says nothing":         {slices.Concat(entries("a/b"), make([]byte, 64<<20)), set("names", 5), inventory.ErrCorrupt},
		"a negative number of bytes":       {entries("a/b"), set("bytes", -1), inventory.ErrCorrupt},
		"a section that is longer":         {entries("a/b"), set("bytes", 1<<40), inventory.ErrCorrupt},
		"a section that is shorter":        {entries("a/b"), set("bytes", 3), inventory.ErrCorrupt},
		"a section in the header":          {entries("a/b"), set("offset", 0), inventory.ErrCorrupt},
		"bytes of no section":              {entries("a/b"), set("gap", 9), inventory.ErrCorrupt},
		"a table that is none":             {entries("a/b"), set("objects", "many"), inventory.ErrCorrupt},
		"a count beyond what a number can": {entries("a/b"), set("objects", 1e30), inventory.ErrCorrupt},
		"a table larger than any":          {entries("a/b"), set("kind", strings.Repeat("K", 5<<20)), inventory.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			text := forged(t, tt.names, tt.edit)
			var got map[string][]string
			var err error
			if allocated := allocations(func() { got, err = inventory.Parse(text, noLimit) }); allocated > 1<<20 {
				t.Errorf("refusing allocates %d bytes, want less than 1 MiB", allocated)
			}
			if !errors.Is(err, tt.want) || got != nil {
				t.Errorf("parsed as %v, error %v, want %v", got, err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("error has %d bytes", len(err.Error()))
			}
		})
	}
}

// allocations returns how many bytes f allocates in all.
func allocations(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestWriteRefusesWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meta  inventory.Meta
		types []inventory.TypeSnapshot
	}{
		"of nobody":              {inventory.Meta{}, nil},
		"an empty name":          {ours, []inventory.TypeSnapshot{snapshot(pods, 1, "")}},
		"a name of 70,000 bytes": {ours, []inventory.TypeSnapshot{snapshot(pods, 1, strings.Repeat("x", 70_000))}},
		"a name twice":           {ours, []inventory.TypeSnapshot{snapshot(pods, 1, "a", "a")}},
		"names out of order":     {ours, []inventory.TypeSnapshot{snapshot(pods, 1, "b", "a")}},
		"a type twice":           {ours, []inventory.TypeSnapshot{snapshot(pods, 1), snapshot(pods, 1)}},
		"types out of order":     {ours, []inventory.TypeSnapshot{snapshot(deployments, 1), snapshot(pods, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, snapshot(pods, 12, "default/web-1"))
			if _, err := inventory.Write(t.Context(), dir, tt.meta, snapshots(tt.types...)); err == nil {
				t.Error("Write succeeds")
			}
			if diff := cmp.Diff(map[string][]string{"pods.v1": {"default/web-1"}}, names(t, open(t, dir))); diff != "" {
				t.Errorf("the earlier inventory (-want +got):\n%s", diff)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("directory holds %v, %v, want the inventory alone", entries, err)
			}
		})
	}
}

func TestACancelledWriteLeavesTheEarlierInventory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(pods, 12, "default/web-1"))
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(string) bool) {
		for i := 0; ; i++ {
			if i == 10_000 {
				cancel()
			}
			if !yield(fmt.Sprintf("a/%09d", i)) {
				return
			}
		}
	}
	_, err := inventory.Write(ctx, dir, ours, snapshots(inventory.TypeSnapshot{Type: pods, Version: 13, Names: endless}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v, want that it was cancelled", err)
	}
	if diff := cmp.Diff(map[string][]string{"pods.v1": {"default/web-1"}}, names(t, open(t, dir))); diff != "" {
		t.Errorf("the earlier inventory (-want +got):\n%s", diff)
	}
}

func TestAnUnfinishedFileIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "inventory.tmp"), make([]byte, 1<<20), 0o400); err != nil {
		t.Fatal(err)
	}
	write(t, dir, snapshot(pods, 12, "default/web-1"))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("directory holds %v, %v, want the inventory alone", entries, err)
	}
	if n := len(read(t, dir)); n > 1000 {
		t.Errorf("inventory has %d bytes: what was unfinished is still in it", n)
	}
}

// A later write does not change an open inventory, so the writer can read it while it writes.
func TestAnOpenInventoryOutlivesItsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(pods, 12, "default/web-1"))
	inv := open(t, dir)
	write(t, dir, snapshot(pods, 13, "default/web-2"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"pods.v1": {"default/web-1"}}, names(t, inv)); diff != "" {
		t.Errorf("the open inventory (-want +got):\n%s", diff)
	}
	if _, err := inventory.Open(dir, ours, noLimit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
}

// A file that is changed after it was found intact yields an error, and does not just end.
func TestAnInventoryThatChangesInPlaceSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(pods, 12, "default/web-1", "default/web-2"))
	inv := open(t, dir)
	if err := os.Truncate(path(dir), 40); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range inv.Objects(pods) {
		last = err
	}
	if !errors.Is(last, inventory.ErrCorrupt) {
		t.Errorf("reading ends with %v, want that it is damaged", last)
	}
	verdict, err := inv.Judge(pods, present{pods: {Listed: true, Version: 20}}, true)
	if err == nil || verdict.Deleted != nil {
		t.Errorf("judged as %+v, %v, want an error and nothing deleted", verdict, err)
	}
}

// million is one type of a million objects whose names are parts of one string, so that they allocate nothing.
func million(t testing.TB) inventory.TypeSnapshot {
	t.Helper()
	const n, width = 1_000_000, len("team-00/web-0000000-7d9f8")
	var b strings.Builder
	b.Grow(n * width)
	for i := range n {
		fmt.Fprintf(&b, "team-%02d/web-%07d-%05x", i/50_000, i, uint32(i)*2654435761>>12)
	}
	text := b.String()
	return inventory.TypeSnapshot{Type: pods, Version: 12, Names: func(yield func(string) bool) {
		for i := range n {
			if !yield(text[i*width : (i+1)*width]) {
				return
			}
		}
	}}
}

func TestAMillionObjectsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("seven seconds with the race detector, which has nothing to find here: run without -short")
	}
	dir, s := t.TempDir(), million(t)
	var w inventory.Written
	if allocated := allocations(func() { w = write(t, dir, s) }); allocated > 2<<20 {
		t.Errorf("writing allocates %d bytes in all, want at most 2 MiB", allocated)
	}
	if w.Objects != 1_000_000 || w.Bytes > 16<<20 {
		t.Errorf("written are %+v, want a million objects in at most 16 MiB", w)
	}
	if allocated := allocations(func() { open(t, dir) }); allocated > 1<<20 {
		t.Errorf("opening allocates %d bytes in all, want at most 1 MiB", allocated)
	}
}

func BenchmarkWriteMillion(b *testing.B) {
	dir, s := b.TempDir(), million(b)
	b.ReportAllocs()
	for b.Loop() {
		b.ReportMetric(float64(write(b, dir, s).Bytes), "bytes/file")
	}
}

func BenchmarkOpenMillion(b *testing.B) {
	dir := b.TempDir()
	write(b, dir, million(b))
	b.ReportAllocs()
	for b.Loop() {
		inv, err := inventory.Open(dir, ours, noLimit)
		if err != nil {
			b.Fatal(err)
		}
		_ = inv.Close()
	}
}

// FuzzParse corrects the checksum, or the fuzzer would never get beyond it.
func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	write(f, dir, snapshot(nodes, 11, "a", "b"), snapshot(pods, 12, "default/web-1", "shop/cart"))
	f.Add(read(f, dir))
	f.Add(forged(f, entries("a/b", "a/c"), func(s map[string]any) { s["objects"] = 2 }))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) >= 8 {
			text = sealed(text)
		}
		all, err := inventory.Parse(text, inventory.Limits{FileBytes: 1 << 20, NameBytes: 1 << 20})
		if err != nil {
			if all != nil {
				t.Errorf("refused with %v, and yet %v", err, all)
			}
			return
		}
		for typ, names := range all {
			for i := range names {
				if names[i] == "" || i > 0 && names[i] <= names[i-1] {
					t.Errorf("%s: name %d is %q after %q", typ, i, names[i], names[max(0, i-1)])
				}
			}
		}
	})
}
