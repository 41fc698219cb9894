package watch

import (
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Transformer returns the Transformer of a Reflector's store.
func Transformer(keep resource.AnnotationFilter) cache.TransformFunc {
	return (&store{w: &watcher{m: &Manager{opts: Options{Keep: resource.Selection{Annotations: keep}}}}}).Transformer()
}

// RecordOf returns the record that a store reports of an object.
func RecordOf(obj any, keep resource.AnnotationFilter) (resource.Record, error) {
	r, _, err := recordOf(obj, resource.Selection{Annotations: keep})
	return r, err
}
