package plugin_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets a connection of SPDY alone that has been closed: where its other end was faster, it waits for a second
// for somebody who wants to know that.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}
