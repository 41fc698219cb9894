package watch

import (
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Transformer returns what a Reflector's store makes of objects before the Reflector keeps them.
func Transformer(keep resource.AnnotationFilter) cache.TransformFunc {
	return (&store{w: &watcher{m: &Manager{opts: Options{Keep: resource.Selection{Annotations: keep}}}}}).Transformer()
}

// RecordOf returns what a store reports of an object that it is given.
func RecordOf(obj any, keep resource.AnnotationFilter) (resource.Record, error) {
	r, _, err := recordOf(obj, resource.Selection{Annotations: keep})
	return r, err
}
