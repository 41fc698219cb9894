package controlplane

import (
	"context"
	"testing"
)

// starts bounds how many control planes the tests of a process start at once. Each takes seconds of processor time,
// so more of them at once would all be late.
var starts = make(chan struct{}, 2)

// startBrief is [Start] of a control plane that lives for a few tests.
func startBrief(ctx context.Context, opts Options) (*ControlPlane, error) {
	starts <- struct{}{}
	defer func() { <-starts }()
	opts.brief = true
	return Start(ctx, opts)
}

// ForTest starts a control plane for one test and stops it when the test ends. If [Shared] is on, and the options
// ask only for an audit log, earlier and later tests have the same one. It never skips: without binaries the test
// fails and says how to get them. When the test fails, its log has the last lines of the API server.
func ForTest(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	if shared.serves(opts) {
		return shared.lend(t, opts)
	}
	c, err := startBrief(t.Context(), opts)
	if err != nil {
		t.Fatalf("starting a control plane: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the API server said last:\n%s", c.Logs(20))
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	return c
}
