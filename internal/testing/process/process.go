package process

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

// Command says what to run.
type Command struct {
	// Binary is the path of the binary. Errors name the process by the last part of it.
	Binary string
	// Args are its arguments, without the binary itself.
	Args []string
	// Env is its whole environment, as in "KEY=value". Nil means that of this process.
	Env []string
	// Log is the file to which its output is appended.
	Log string
}

// Process is a binary that has been started. Make one with [Start].
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	// ended is closed when the process has been waited for.
	ended chan struct{}
}

// Start runs a command and returns when it has begun.
func Start(c Command) (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", filepath.Base(c.Binary), err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	p := &Process{name: filepath.Base(c.Binary), log: c.Log, ended: make(chan struct{})}
	p.cmd = exec.Command(c.Binary, c.Args...)
	p.cmd.Env = c.Env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = sysProcAttr()
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// run starts and awaits the process. Linux sends the signal for a parent's death at the death of the parent's
// *thread*, and Go ends threads at any time. So this goroutine keeps its thread until the child is gone.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // only the end matters here; the log has its cause
	close(p.ended)
}

// PID returns the ID of the process. After its end, another process may have that ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Tail returns the last lines that the process printed, or why they cannot be read.
func (p *Process) Tail(lines int) string { return Tail(p.log, lines) }

// Signal sends s, and does nothing when the process has ended.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to %s: %w", s, p.name, err)
	}
	return nil
}

// Stop ends the process and returns when it is gone. If gentle, it sends SIGTERM first, and SIGKILL after grace.
func (p *Process) Stop(gentle bool, grace time.Duration) error {
	if gentle {
		if err := p.Signal(syscall.SIGTERM); err != nil {
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
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Await calls ready every 20 ms until it returns nil. It gives up with a [*DiedError] when the process ends,
// and with the context.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return &DiedError{Process: p.name, Signal: p.endedBy(), LogTail: Tail(p.log, 20)}
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s, which last said %w: %w", p.name, err, ctx.Err())
		case <-tick.C:
		}
	}
}

// endedBy returns the signal that ended the process, or 0 when it ended by itself. It expects that the process has
// ended.
func (p *Process) endedBy() syscall.Signal {
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}

// DiedError says that a process ended during a wait until it is ready.
type DiedError struct {
	// Process is the name of the binary.
	Process string
	// Signal is the signal that ended the process, or 0 when it ended by itself. Until a process has a group of its
	// own, a signal to its parent's group ends it.
	Signal syscall.Signal
	// LogTail are the last lines that it printed.
	LogTail string
}

// Error names the process and the signal, and ends with the last lines that the process printed.
func (e *DiedError) Error() string {
	by := ""
	if e.Signal != 0 {
		by = " by " + e.Signal.String()
	}
	return e.Process + " ended" + by + " before it was ready:\n" + e.LogTail
}

// Tail returns the last n lines of a file, or why they cannot be read.
func Tail(file string, n int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
