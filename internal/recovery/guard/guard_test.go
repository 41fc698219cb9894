package guard_test

import (
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
)

func TestGuardHoldsBackMoreThanFiftyAndATenth(t *testing.T) {
	for name, tt := range map[string]struct {
		deletions, of int
		want          bool
	}{
		"nothing of nothing":         {0, 0, false},
		"all of a few":               {50, 50, false},
		"one more than a few":        {51, 51, true},
		"fifty of five hundred":      {50, 500, false},
		"a tenth":                    {100, 1000, false},
		"a tenth and one":            {101, 1000, true},
		"a tenth is rounded down":    {101, 1009, true},
		"more than were ever listed": {60, 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := guard.Exceeded(tt.deletions, tt.of); got != tt.want {
				t.Errorf("Exceeded(%d, %d) = %v, want %v", tt.deletions, tt.of, got, tt.want)
			}
		})
	}
}
