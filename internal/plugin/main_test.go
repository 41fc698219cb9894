package plugin_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain tolerates a closed SPDY connection: if its other end was faster, it waits a second for a reader of its
// close error. The index library of the receiver starts workers when it is imported.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}
