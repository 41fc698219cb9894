package process_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// role has the test binary be a process that a test starts.
const role = "PROCESS_TEST_ROLE"

// portsEach is how many ports each of two processes asks for.
const portsEach = 500

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
	case "obedient":
		fmt.Println("ready")
		untilSignalled()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		untilSignalled()
	case "broken":
		fmt.Println("cannot go on")
		os.Exit(3)
	case "interrupted":
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		untilSignalled()
	case "asks for ports":
		for range portsEach {
			port, err := process.FreePort()
			if err != nil {
				fmt.Println(err)
			}
			fmt.Println(port)
		}
	}
}

// untilSignalled blocks in a way that the runtime does not take for a deadlock.
func untilSignalled() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never
}

func TestStopIsGentleFirst(t *testing.T) {
	for _, who := range []string{"obedient", "stubborn"} {
		for _, gentle := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s gently %t", who, gentle), func(t *testing.T) {
				p := start(t, who)
				awaitReady(t, p)
				// The grace of the stubborn process runs out. That of the obedient one does not, or this takes an
				// hour.
				grace := time.Hour
				if who == "stubborn" {
					grace = 50 * time.Millisecond
				}
				if err := p.Stop(gentle, grace); err != nil {
					t.Fatal(err)
				}
				if p.Running() {
					t.Error("it is running")
				}
				if err := p.Stop(gentle, grace); err != nil {
					t.Errorf("stopping it again: %v", err)
				}
			})
		}
	}
}

func TestStopEndsAPausedProcess(t *testing.T) {
	p := start(t, "obedient")
	awaitReady(t, p)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(true, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
}

func TestAwaitSaysWhatADyingProcessSaid(t *testing.T) {
	p := start(t, "broken")
	never := errors.New("not yet")
	err := p.Await(t.Context(), func(context.Context) error { return never })
	var died *process.DiedError
	if !errors.As(err, &died) || !strings.Contains(died.LogTail, "cannot go on") || died.Signal != 0 {
		t.Errorf("Await: %v, want a DiedError with the last words, and without a signal", err)
	}
}

func TestAwait_EndedByASignal_NamesIt(t *testing.T) {
	p := start(t, "interrupted")
	never := errors.New("not yet")
	err := p.Await(t.Context(), func(context.Context) error { return never })
	var died *process.DiedError
	if !errors.As(err, &died) || died.Signal != syscall.SIGINT || !strings.Contains(err.Error(), "ended by interrupt") {
		t.Errorf("Await: %v, want a DiedError that names the signal", err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	p := start(t, "obedient")
	ctx, cancel := context.WithCancel(t.Context())
	never := errors.New("not yet")
	err := p.Await(ctx, func(context.Context) error { cancel(); return never })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, never) {
		t.Errorf("Await: %v, want the end of the context and the last error", err)
	}
}

func TestFreePortIsFreeAndNoClientsOwn(t *testing.T) {
	for range 100 {
		port, err := process.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port >= 32768 || port < 1024 {
			t.Fatalf("port %d, want one that neither clients nor the system use", port)
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}

// TestFreePort_TwoProcessesAsk_NoPortIsGivenTwice lets two processes ask for so many ports that they would meet
// by chance.
func TestFreePort_TwoProcessesAsk_NoPortIsGivenTwice(t *testing.T) {
	given := make(map[int]bool)
	for range portsEach {
		port, err := process.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if given[port] {
			t.Fatalf("port %d was given twice", port)
		}
		given[port] = true
	}
	log := filepath.Join(t.TempDir(), "log")
	p, err := process.Start(process.Command{Binary: os.Args[0], Env: append(os.Environ(), role+"=asks for ports"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	others := strings.Fields(string(said))
	if len(others) != portsEach {
		t.Fatalf("another process said %d words, want %d ports: %.200s", len(others), portsEach, said)
	}
	for _, word := range others {
		if port, err := strconv.Atoi(word); err != nil || given[port] {
			t.Errorf("another process was given %s (%v), which is taken", word, err)
		}
	}
}

func start(t *testing.T, who string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Command{
		Binary: os.Args[0],
		Env:    append(os.Environ(), role+"="+who),
		Log:    filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(false, 0); err != nil {
			t.Error(err)
		}
	})
	return p
}

// awaitReady returns when the process has printed that it handles signals as its role demands.
func awaitReady(t *testing.T, p *process.Process) {
	t.Helper()
	if err := p.Await(t.Context(), func(context.Context) error {
		if !strings.Contains(p.Tail(5), "ready") {
			return errors.New("silent")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
