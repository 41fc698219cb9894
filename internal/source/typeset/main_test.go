package typeset_test

import (
	"testing"

	"go.uber.org/goleak"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) {
	// The second handler delays errors by the time since the last one, process-wide, but a new bubble goes back in
	// time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	goleak.VerifyTestMain(m)
}

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// widgets returns the type widgets.example.com at a version.
func widgets(version string) resource.Type {
	return resource.Type{Group: "example.com", Version: version, Resource: "widgets", Kind: "Widget", Namespaced: true}
}
