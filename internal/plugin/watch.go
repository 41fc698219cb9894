package plugin

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

const (
	// shortestWatch is the shortest pause between looks: each look is two requests to every replica.
	shortestWatch = 200 * time.Millisecond
	// clearScreen puts the cursor home and clears the lines below it. Lines that have scrolled away stay.
	clearScreen = "\x1b[H\x1b[J"
)

// watcher looks at the status, once or again and again. It keeps the connections to the replicas while they answer.
type watcher struct {
	connection *connection
	streams    genericiooptions.IOStreams
	format     output
	fleet      *fleet // nil before it is found, or found anew
}

// look asks every replica and prints the answers.
func (w *watcher) look(ctx context.Context) (statusReport, error) {
	if w.fleet == nil {
		f, err := w.connection.fleet(ctx, false)
		if err != nil {
			return statusReport{}, err
		}
		w.fleet = f
	}
	report := newStatusReport(w.fleet.release, looks(ctx, w.fleet))
	return report, w.format.render(w.streams.Out, report, report.table)
}

// follow looks until ctx ends. Only a failure of the first look is an error: a later one may be an API server that
// restarts.
func (w *watcher) follow(ctx context.Context, pause time.Duration) error {
	terminal := false
	if f, ok := w.streams.Out.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	for first := true; ; first = false {
		switch table := w.format == outputTable || w.format == outputWide; {
		case table && terminal:
			fmt.Fprint(w.streams.Out, clearScreen)
		case table && !first:
			fmt.Fprintln(w.streams.Out)
		}
		report, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && first:
			return err
		case err != nil:
			fmt.Fprintln(w.streams.ErrOut, "error:", err)
			w.close()
		case changed(report):
			w.close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// changed tells whether the replicas are to be found anew: one does not answer, or the ring has other members.
func changed(r statusReport) bool {
	for _, l := range r.Replicas {
		if l.Error != "" {
			return true
		}
	}
	return len(r.members) != len(r.Replicas)
}

// close ends the connections.
func (w *watcher) close() {
	if w.fleet != nil {
		w.fleet.close()
		w.fleet = nil
	}
}
