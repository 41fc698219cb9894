package workload_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func TestMain(m *testing.M) {
	// client-go keeps its connections, with a reader each, in a cache that lives as long as the process.
	goleak.VerifyTestMain(controlplane.Shared(m),
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"))
}
