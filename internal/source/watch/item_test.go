package watch_test

import (
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// A start holds every object of a type until its list is complete, so the held objects must be small.
func TestTransformedObjectsAreRecordsAndNoMore(t *testing.T) {
	t.Parallel()
	keep, err := resource.NewAnnotationFilter([]string{"description"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	full := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "n", UID: "u", ResourceVersion: "17",
		CreationTimestamp: metav1.NewTime(time.Unix(1000, 0)),
		Labels:            map[string]string{"app": "a"},
		Annotations:       map[string]string{"description": "d", "big": string(make([]byte, 1<<18))},
		ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "m", FieldsV1: &metav1.FieldsV1{}}},
	}}
	transform := watch.Transformer(keep)
	got, err := transform(full)
	if err != nil {
		t.Fatal(err)
	}
	if _, same := got.(*metav1.PartialObjectMetadata); same {
		t.Fatal("the object is kept whole")
	}
	before, err := watch.RecordOf(full, keep)
	if err != nil {
		t.Fatal(err)
	}
	after, err := watch.RecordOf(got, keep)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(resource.NewRecord(&full.ObjectMeta, keep), before); diff != "" {
		t.Errorf("record of the full object (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("record of the transformed object (-full +transformed):\n%s", diff)
	}
	if again, err := transform(got); err != nil || again != got {
		t.Errorf("transformed twice it is %v and %v, want the same", again, err)
	}
	if size := int(unsafe.Sizeof(after)) + len(after.Name) + len(after.Namespace) + len(after.Body); size > 128 {
		t.Errorf("the record takes %d bytes, want at most 128", size)
	}

	for name, key := range map[string]func(any) (string, error){
		"store":     cache.DeletionHandlingMetaNamespaceKeyFunc,
		"namespace": cache.MetaNamespaceKeyFunc,
	} {
		if k, err := key(got); err != nil || k != "ns/n" {
			t.Errorf("%s: the key is %q and %v, want ns/n", name, k, err)
		}
	}
	if o, err := apimeta.Accessor(got); err != nil || o.GetResourceVersion() != "17" {
		t.Errorf("the Reflector finds no version: %v", err)
	}
}

// TestTransformer_AnObject_AllocatesItsRecordAlone: an allocation of its own for each item of a list would leave gaps
// among objects that stay. A record is two allocations, name and body.
func TestTransformer_AnObject_AllocatesItsRecordAlone(t *testing.T) {
	transform := watch.Transformer(resource.AnnotationFilter{})
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "of-an-object", ResourceVersion: "17"}}
	var err error
	allocs := testing.AllocsPerRun(1000, func() {
		if _, failed := transform(o); failed != nil {
			err = failed
		}
	})
	if err != nil || allocs > 2 {
		t.Errorf("an object allocates %v times and fails with %v, want 2 and no error", allocs, err)
	}
}

func TestUnknownObjectsAreErrors(t *testing.T) {
	t.Parallel()
	if _, err := watch.RecordOf(&metav1.Status{}, resource.AnnotationFilter{}); err == nil {
		t.Error("a Status was taken for metadata")
	}
}
