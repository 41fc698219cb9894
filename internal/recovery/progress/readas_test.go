package progress_test

import (
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TestReadAs: a tombstone from a member of the other division names the type that this member reads.
func TestReadAs(t *testing.T) {
	sliced := map[string]resource.Type{"pods.v1@a": pods.In("a"), "pods.v1@b": pods.In("b")}
	whole := map[string]resource.Type{"pods.v1": pods}
	for _, test := range []struct {
		types           map[string]resource.Type
		name, namespace string
		want            resource.Type
	}{
		{whole, "pods.v1", "a", pods},
		{whole, "pods.v1@a", "a", pods},
		{sliced, "pods.v1", "b", pods.In("b")},
		{sliced, "pods.v1@b", "b", pods.In("b")},
		{sliced, "pods.v1", "c", resource.Type{}},
		{sliced, "jobs.v1.batch@a", "a", resource.Type{}},
	} {
		if got, ok := progress.ReadAs(test.types, test.name, test.namespace); got != test.want || ok != (test.want != resource.Type{}) {
			t.Errorf("%s in %s is read as %s (%t), want %s", test.name, test.namespace, got, ok, test.want)
		}
	}
}
