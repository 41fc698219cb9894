package app

import "testing"

func TestMemoryIsGivenBackWhenATwentiethOfItMayBeGarbage(t *testing.T) {
	for _, c := range []struct {
		objects, live uint64
		want          bool
	}{{0, 0, false}, {20 << 20, 20 << 20, false}, {21 << 20, 20 << 20, false}, {21<<20 + 1, 20 << 20, true}, {1 << 20, 20 << 20, false}} {
		if got := worthTidying(c.objects, c.live); got != c.want {
			t.Errorf("%d bytes of which %d were in use: worth it %t, want %t", c.objects, c.live, got, c.want)
		}
	}
}
