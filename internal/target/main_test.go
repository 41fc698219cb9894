package target_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) {
	// The second handler spaces errors out by the time since the last one, process-wide; a new bubble goes
	// back in time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	goleak.VerifyTestMain(m)
}

var (
	pods       = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	events     = resource.Type{Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	newEvents  = resource.Type{Group: "events.k8s.io", Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	namespaces = resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
)

// widgets returns the type widgets.example.com at a version.
func widgets(version string) resource.Type {
	return resource.Type{Group: "example.com", Version: version, Resource: "widgets", Kind: "Widget", Namespaced: true}
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
