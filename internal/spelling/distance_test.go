package spelling_test

import (
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/spelling"
)

// FuzzDistance: the distance is 0 for equal texts alone, symmetric, and 1 for one swap. It is at least the
// difference in length and at most the longer length.
func FuzzDistance(f *testing.F) {
	f.Add("pods", "psod")
	f.Add("", "nodes")
	f.Add("deployments.apps", "deploymnets.apps")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 300 || len(b) > 300 {
			t.Skip("quadratic")
		}
		d := spelling.Distance(a, b)
		if (d == 0) != (a == b) || d != spelling.Distance(b, a) || d < len(a)-len(b) || d < len(b)-len(a) || d > max(len(a), len(b)) {
			t.Errorf("%q %q: %d, and %d the other way round", a, b, d, spelling.Distance(b, a))
		}
		if len(a) >= 2 && a[0] != a[1] {
			if swapped := string(a[1]) + string(a[0]) + a[2:]; len(swapped) == len(a) && spelling.Distance(a, swapped) != 1 {
				t.Errorf("%q and %q are %d apart", a, swapped, spelling.Distance(a, swapped))
			}
		}
		if d := spelling.Distance(a, a+strings.Repeat("x", 3)); d != 3 {
			t.Errorf("three appended to %q are %d", a, d)
		}
	})
}
