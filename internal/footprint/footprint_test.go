package footprint

import "testing"

func TestMemoryIsGivenBackWhenATwentiethOfItMayBeGarbage(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		heap heap
		want bool
	}{
		{heap{}, false},
		{heap{objects: 20 * mib, live: 20 * mib}, false},
		{heap{objects: 21 * mib, live: 20 * mib}, false},
		{heap{objects: 21*mib + 1, live: 20 * mib}, true},
		{heap{objects: 1 * mib, live: 20 * mib}, false},
		{heap{objects: 1 * mib, live: 20 * mib, free: 2 * mib}, true},
		{heap{objects: 20*mib + mib/2, live: 20 * mib, free: mib/2 + 1}, true},
	} {
		if got := c.heap.worthTidying(); got != c.want {
			t.Errorf("%+v is worth tidying: %t, want %t", c.heap, got, c.want)
		}
	}
}
