package plugin

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// linePause is the time between two lines of progress, where they are not drawn over one another.
const linePause = 5 * time.Second

// progress shows how far a resync is. One goroutine uses it.
type progress interface {
	update(op api.Operation)
	// end clears the line that was drawn.
	end()
}

// newProgress returns a bar on a terminal, and lines elsewhere.
func newProgress(w io.Writer) progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return newBar(w)
	}
	return &lines{w: w}
}

// progressText says how far a resync is.
func progressText(op api.Operation) string {
	if op.Resources.Total == 0 && op.Types.Total == 0 {
		return "it has just begun"
	}
	total := max(op.Resources.Done, op.Resources.Total)
	text := fmt.Sprintf("%d of %s", op.Resources.Done, count(total, "object"))
	if total > 0 {
		text += " (" + percent(float64(op.Resources.Done)/float64(total)) + ")"
	}
	return text + fmt.Sprintf(", %d of %s", op.Types.Done, count(op.Types.Total, "type"))
}

// lines is progress for a log: a line when the operation has changed, and not too often.
type lines struct {
	w    io.Writer
	last string
	at   time.Time
}

func (l *lines) update(op api.Operation) {
	text := progressText(op)
	if text == l.last || op.Status.Finished() || time.Since(l.at) < linePause {
		return
	}
	l.last, l.at = text, time.Now()
	fmt.Fprintf(l.w, "resync %s: %s\n", op.ID, text)
}

func (l *lines) end() {}

// bar is progress for people. The total is an estimate until the end. It grows ahead of the finished part, because
// a bar that was full once stays full.
type bar struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

func newBar(w io.Writer) *bar { return &bar{w: w} }

func (b *bar) update(op api.Operation) {
	if op.Status.Finished() {
		return
	}
	total := max(op.Resources.Total, op.Resources.Done+1)
	if b.bar == nil {
		b.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(b.w),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionSetItsString("objects"),
			progressbar.OptionShowIts(),
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	b.bar.ChangeMax(total)
	b.bar.Describe(fmt.Sprintf("%d of %s", op.Types.Done, count(op.Types.Total, "type")))
	_ = b.bar.Set(op.Resources.Done) // drawing failed, but the result is printed all the same
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
