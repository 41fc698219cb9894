package batch_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/batch"
)

func cut(sizes []int, l batch.Limits) [][]int {
	var out [][]int
	for len(sizes) > 0 {
		b := batch.NewBuilder(l)
		n := 0
		for n < len(sizes) && b.Add(sizes[n]) {
			n++
		}
		out = append(out, sizes[:n])
		sizes = sizes[n:]
	}
	return out
}

func TestCut(t *testing.T) {
	tests := map[string]struct {
		sizes  []int
		limits batch.Limits
		want   [][]int
	}{
		"by count":                         {[]int{1, 1, 1, 1, 1}, batch.Limits{Count: 2}, [][]int{{1, 1}, {1, 1}, {1}}},
		"by bytes":                         {[]int{4, 4, 4}, batch.Limits{Bytes: 8}, [][]int{{4, 4}, {4}}},
		"overhead counts":                  {[]int{4, 4, 4}, batch.Limits{Bytes: 8, Overhead: 1}, [][]int{{4}, {4}, {4}}},
		"exactly full is allowed":          {[]int{3, 4}, batch.Limits{Bytes: 8, Overhead: 1}, [][]int{{3, 4}}},
		"an item too large goes alone":     {[]int{1, 99, 1}, batch.Limits{Bytes: 8}, [][]int{{1}, {99}, {1}}},
		"no limits":                        {[]int{1, 2, 3}, batch.Limits{}, [][]int{{1, 2, 3}}},
		"whichever limit is reached first": {[]int{5, 1, 1, 1, 1}, batch.Limits{Count: 3, Bytes: 6}, [][]int{{5, 1}, {1, 1, 1}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, cut(tt.sizes, tt.limits)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzCut checks three promises: no item is lost or reordered, no batch is empty, and no batch of more than one
// item exceeds a limit.
func FuzzCut(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200}, 2, 100, 3)
	f.Add([]byte{}, 0, 0, 0)
	f.Fuzz(func(t *testing.T, raw []byte, count, bytes, overhead int) {
		sizes := make([]int, len(raw))
		for i, b := range raw {
			sizes[i] = int(b)
		}
		overhead = min(max(overhead, 0), 1000)
		var all []int
		for _, b := range cut(sizes, batch.Limits{Count: count, Bytes: bytes, Overhead: overhead}) {
			if len(b) == 0 {
				t.Fatal("empty batch")
			}
			total := overhead
			for _, s := range b {
				total += s
			}
			if len(b) > 1 && (count > 0 && len(b) > count || bytes > 0 && total > bytes) {
				t.Fatalf("batch of %d items and %d bytes exceeds %d and %d", len(b), total, count, bytes)
			}
			all = append(all, b...)
		}
		if diff := cmp.Diff(sizes, append(make([]int, 0), all...)); diff != "" && len(sizes) > 0 {
			t.Fatal(diff)
		}
	})
}
