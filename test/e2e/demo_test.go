//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCtrlCEndsTheDemoWithoutAnError presses Ctrl-C at several moments: while the demo starts, while it tells its
// story, and at the end of that. Each time the demo says that it stops, and ends with 0 and without an error
// message.
func TestCtrlCEndsTheDemoWithoutAnError(t *testing.T) {
	beside(t, 90*time.Second)
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin")+"/", "./cmd/k8s-vectordb-sync", "./cmd/receiver", "./hack/demo")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, out)
	}
	for name, line := range map[string]string{
		"while the control plane starts": "Starting a control plane",
		"while the cluster is filled":    "Filling the cluster",
		"while replicas start":           "Starting the receiver",
		"when the first answer is there": "The first answer",
	} {
		t.Run(name, func(t *testing.T) {
			said, code := demo(t, dir, line)
			if code != 0 || !strings.Contains(said, "Stopping everything.") {
				t.Errorf("it ended with %d", code)
			}
			for _, bad := range []string{"demo:", "panic", "goroutine ", "said last", "context canceled"} {
				if strings.Contains(said, bad) {
					t.Errorf("it says %q", bad)
				}
			}
			if t.Failed() {
				t.Logf("it said:\n%s", said)
			}
		})
	}
}

// demo runs the demo, presses Ctrl-C at a text, and returns the whole output and the exit code.
func demo(t *testing.T, dir, until string) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "bin", "demo"))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() { // Ends with the process.
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	patience := time.After(2*time.Minute + grace)
	pressed := false
	for {
		select {
		case <-patience:
			_ = cmd.Process.Kill()
			t.Fatalf("it has not ended, and said:\n%s", said)
		case line, more := <-lines:
			if !more {
				if !pressed {
					t.Fatalf("it never says %q, but:\n%s", until, said)
				}
				var ended *exec.ExitError
				if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
					t.Fatal(err)
				}
				return said + complaints.String(), cmd.ProcessState.ExitCode()
			}
			said += line + "\n"
			if !pressed && strings.Contains(line, until) {
				pressed = true
				// The signal goes to the whole group, as from a terminal.
				if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
