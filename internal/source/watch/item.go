package watch

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// item carries a record through the Reflector, which takes only objects, and keeps all objects of a streamed
// list until the list is complete. item has only the methods that the Reflector and the key function of its own
// store call.
type item struct {
	metav1.Object // nil: if the Reflector needed another method, the first test would panic
	record        resource.Record
	left          bool // the object is not selected
}

var (
	_ metav1.Object  = (*item)(nil)
	_ runtime.Object = (*item)(nil)
)

func newItem(o *metav1.ObjectMeta, keep resource.Selection) item {
	r, selected := keep.Record(o)
	return item{record: r, left: !selected}
}

// slab is how many items of a list are allocated at a time: 6 KiB.
const slab = 64

// items allocates the items of one list. They become garbage together, so no item of a list leaves a gap among
// objects that stay. The zero value is ready for use, by one goroutine at a time.
type items struct{ free []item }

// add returns the item of an object.
func (s *items) add(o *metav1.ObjectMeta, keep resource.Selection) *item {
	if len(s.free) == 0 {
		s.free = make([]item, slab)
	}
	i := &s.free[0]
	s.free = s.free[1:]
	*i = newItem(o, keep)
	return i
}

// GetNamespace returns the namespace, empty for a cluster-scoped object.
func (i *item) GetNamespace() string { return i.record.Namespace }

// GetName returns the name.
func (i *item) GetName() string { return i.record.Name }

// GetResourceVersion returns the version; "0" if it is no number.
func (i *item) GetResourceVersion() string { return strconv.FormatUint(i.record.ResourceVersion, 10) }

// GetObjectKind returns the empty kind, because the store knows the type.
func (i *item) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the item itself, because items do not change.
func (i *item) DeepCopyObject() runtime.Object { return i }

// recordOf returns the record of any value that a Reflector hands to its store, and whether the object is
// selected.
func recordOf(obj any, keep resource.Selection) (r resource.Record, selected bool, err error) {
	switch o := obj.(type) {
	case *item:
		return o.record, !o.left, nil
	case *metav1.PartialObjectMetadata:
		r, selected = keep.Record(&o.ObjectMeta)
		return r, selected, nil
	case cache.DeletedFinalStateUnknown:
		return recordOf(o.Obj, keep)
	default:
		return resource.Record{}, false, fmt.Errorf("reading what was watched: got %T, want object metadata", obj)
	}
}
