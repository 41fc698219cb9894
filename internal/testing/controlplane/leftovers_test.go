//go:build integration

package controlplane_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func TestKilledParentLeavesNothingBehind(t *testing.T) {
	// A control plane that another package starts meanwhile removes leftovers in the common directory.
	t.Setenv("TMPDIR", t.TempDir())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), bystander+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) != 2 {
		t.Fatalf("the process has children %v, want etcd and kube-apiserver", children)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	g := gomega.NewWithT(t)
	for _, pid := range children {
		g.Eventually(func() bool { return alive(pid) }).WithTimeout(20 * time.Second).Should(gomega.BeFalse())
	}
	// A killed process cannot remove its directory; the next start does.
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the directory that the process named: %v", err)
	}
	controlplane.ForTest(t, controlplane.Options{Fresh: true})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the killed process is still there, want it removed (%v)", err)
	}
}

func TestStopLeavesNothingBehind(t *testing.T) {
	before := childrenOf(t, os.Getpid())
	c, err := controlplane.Start(t.Context(), controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Kubeconfig())
	if err := c.PauseAPIServer(); err != nil { // a paused one must be killed as well
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got := childrenOf(t, os.Getpid()); len(got) != len(before) {
		t.Errorf("children after Stop: %v, want %v", got, before)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there, want it removed (%v)", dir, err)
	}
	if err := c.StartAPIServer(t.Context()); err == nil {
		t.Error("the API server was started after Stop, want an error")
	}
}

// childrenOf lists the processes whose parent has this ID, from /proc.
func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue // the process has ended meanwhile
		}
		// The name, in parentheses, may contain any character; after it come the state and the parent.
		_, rest, _ := strings.Cut(string(content), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			children = append(children, pid)
		}
	}
	return children
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
