package controlplane

import "testing"

// ForTest starts a control plane for one test and stops it when the test ends. If [Shared] says so, and the options ask
// for nothing but an audit log, earlier and later tests have the same one. It never skips: without binaries the
// test fails and says how they are had. When the test fails, the last words of the API server are in its log.
func ForTest(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	opts.brief = true
	if shared.serves(opts) {
		return shared.lend(t, opts)
	}
	c, err := Start(t.Context(), opts)
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
