package fleet

import (
	"os/exec"
	"strings"
)

// Kube runs kubectl with every right and the given input, and returns its output. It fails the test when kubectl
// fails.
func (r *Rig) Kube(stdin string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.Kubectl(), append([]string{"--kubeconfig", r.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Apply creates or changes the objects of a manifest.
func (r *Rig) Apply(manifest string) {
	r.t.Helper()
	r.Kube(manifest, "apply", "-f", "-")
}
