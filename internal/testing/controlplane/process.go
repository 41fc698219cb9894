package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is one started binary. Its methods are safe for concurrent use.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	// ended is closed when the process has been waited for.
	ended chan struct{}
}

// startProcess starts a binary and appends what it prints to logFile.
func startProcess(binary, logFile string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", filepath.Base(binary), err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	p := &process{name: filepath.Base(binary), log: logFile, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, args...) //nolint:noctx // it outlives the context of the call that starts it
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = sysProcAttr()
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// run starts and awaits the process. The signal that Linux sends to a child at its parent's death is sent at the death
// of the parent's *thread*, and Go ends threads as it likes: so this goroutine keeps its thread until the child is gone.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // that it ended is all there is to know; why is in its log
	close(p.ended)
}

// signal sends s, and does nothing when the process has ended.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to %s: %w", s, p.name, err)
	}
	return nil
}

// stop ends the process and returns when it is gone. Asked to be gentle it sends SIGTERM first, and SIGKILL after grace.
func (p *process) stop(gentle bool, grace time.Duration) error {
	if gentle {
		if err := p.signal(syscall.SIGTERM); err != nil {
			return err
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.ended:
			return nil
		case <-timer.C:
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// await calls ready every 20 ms until it returns nil. It gives up when the process or the context ends.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return &DiedError{Process: p.name, LogTail: tail(p.log, 20)}
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s, which last said %w: %w", p.name, err, ctx.Err())
		case <-tick.C:
		}
	}
}

// DiedError says that a process ended by itself while it was started.
type DiedError struct {
	// Process is the name of the binary.
	Process string
	// LogTail are the last lines that it printed.
	LogTail string
}

// Error ends with what the process printed last.
func (e *DiedError) Error() string { return e.Process + " ended while it was starting:\n" + e.LogTail }

// tail returns the last n lines of a file, or why they cannot be read.
func tail(file string, n int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
