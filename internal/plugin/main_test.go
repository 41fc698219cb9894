package plugin_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets a connection of SPDY alone that has been closed: where its other end was faster, it waits for a second
// for somebody who wants to know that. The index library of the receiver starts workers when it is imported.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}
