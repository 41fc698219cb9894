//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// longest bounds every command.
const longest = 5 * time.Minute

// try runs a shell script at the root of the repository, and returns its output and its error.
func try(t testing.TB, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// sh runs a shell script at the root of the repository, and returns its output. It fails the test if the script
// fails.
func sh(t testing.TB, script string) string {
	t.Helper()
	out, err := try(t, script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// kubectl runs kubectl in the release's namespace.
func kubectl(t testing.TB, args string) string {
	t.Helper()
	return sh(t, "kubectl -n "+namespace+" "+args)
}

// apply creates or changes the objects of a manifest.
func apply(t testing.TB, manifest string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// ctl changes the cluster's machines as a user's machine room does.
func ctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), os.Getenv("CLUSTER_CTL"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// background runs a command of a README that does not end by itself, such as a port-forward, until the test ends or
// stop is called. It returns once the command has printed something.
func background(t testing.TB, script string) (stop func()) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	first := make([]byte, 4096)
	n, err := read.Read(first)
	if err != nil || !bytes.Contains(first[:n], []byte("Forwarding from")) {
		t.Fatalf("%s printed %q: %v", script, first[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, read) }() // Ends with the command.
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// block returns the first block of shell code in a document that contains a text.
func block(t testing.TB, file, text string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(content), "```") {
		if body, ok := strings.CutPrefix(part, "bash\n"); ok && i%2 == 1 && strings.Contains(body, text) {
			return strings.TrimRight(body, "\n")
		}
	}
	t.Fatalf("%s has no shell code with %q", file, text)
	return ""
}

// eventually waits until a script prints a text that f accepts.
func eventually(t testing.TB, within time.Duration, script string, f func(out string) bool) string {
	t.Helper()
	var out string
	first := true
	fleet.Eventually(t, within, func() string {
		if !first {
			fleet.Pause(400 * time.Millisecond) // a kubectl costs the cluster a tenth of a second of processor time
		}
		first = false
		var err error
		out, err = try(t, script)
		if err != nil {
			return script + ": " + err.Error() + "\n" + out
		}
		if !f(out) {
			return script + " prints\n" + out
		}
		return ""
	})
	return out
}
