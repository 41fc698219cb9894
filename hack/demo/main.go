// Command demo shows k8s-vectordb-sync at work on one machine, without Docker, a cluster or an account. It runs a
// real API server with a small company in it, the reference receiver with its search, and three replicas as
// processes. It takes about a minute, and then leaves all processes running until Ctrl-C.
//
//	make demo                  shows it to a person
//	make demo DEMO_ONCE=1      ends after the showing, with an error if anything was not as it should be
//
// It expects the commands in bin/ and the binaries of the control plane; run.sh, which make demo runs, provides
// both.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// endings are the signals with which a person ends the demo.
var endings = []os.Signal{os.Interrupt, syscall.SIGTERM}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	err := run(ctx, os.Stdout, os.Getenv("DEMO_ONCE") != "")
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run tells the story. An early end by the person is no error.
func run(ctx context.Context, out io.Writer, once bool) (err error) {
	t := &teller{out: out, began: time.Now()}
	s := &stage{binaries: "bin"}
	defer func() {
		if !once && endedByPerson(ctx, err) {
			err = nil
		}
		if err != nil {
			t.print("\n%s", s.lastWords())
		}
		t.print("\nStopping everything.\n")
		err = errors.Join(err, s.stop())
	}()
	if err := tell(ctx, t, s); err != nil {
		return err
	}
	if once {
		return nil
	}
	t.print("\nIt all goes on running. Ctrl-C ends it and removes everything.\n")
	<-ctx.Done()
	return nil
}

// endedByPerson tells whether an error is due to a person who ended the demo. Ctrl-C also ends a child that has no
// process group of its own yet. The demo may learn of that before its context ends, so the child's signal counts, too.
func endedByPerson(ctx context.Context, err error) bool {
	var died *process.DiedError
	return ctx.Err() != nil || errors.As(err, &died) && slices.Contains(endings, os.Signal(died.Signal))
}

// teller writes for a person who watches.
type teller struct {
	out   io.Writer
	began time.Time
}

// print writes a text as it is.
func (t *teller) print(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format, args...) }

// say writes a line with the time since the beginning.
func (t *teller) say(format string, args ...any) {
	t.print("[%5.1f s] %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// title begins a chapter.
func (t *teller) title(text string) { t.print("\n── %s\n", text) }
