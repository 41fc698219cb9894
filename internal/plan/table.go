package plan

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// shown bounds how many rows of a kind a narrow table has.
const shown = 15

// Table writes the report for people. A wide table has everything; a narrow one cuts long parts, and says so.
func (r Report) Table(w io.Writer, wide bool) {
	t := newTable(w, "RECEIVER", "FORMAT", "OBJECTS", "BYTES", "EMBEDDINGS A DAY", "CHANGES A DAY", "DELETES A DAY")
	for _, one := range r.Receivers {
		if one.Problem != "" {
			t.row(one.Name, "-", "-", "-", "-", "-", "-")
			continue
		}
		t.row(one.Name, one.Format, one.Objects, size(one.Bytes), r.daily(one.PerDay.Embeddings), r.daily(one.PerDay.Changes), r.daily(one.PerDay.Deletes))
	}
	t.flush()
	fmt.Fprintln(w, "\nThe first sync costs an embedding for each object. "+r.basis())
	for _, one := range r.Receivers {
		if one.Problem == "" {
			r.receiver(w, one, wide)
		}
	}
	r.problems(w, wide)
}

// basis says on which observation the numbers of a day rest.
func (r Report) basis() string {
	if r.WatchedSeconds == 0 {
		return "What changes would cost was not watched for."
	}
	return fmt.Sprintf("What changes would cost a day is what was seen in %s, extrapolated.", time.Duration(r.WatchedSeconds*float64(time.Second)))
}

// daily is a number of a day, if changes were watched for.
func (r Report) daily(n int64) string {
	if r.WatchedSeconds == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func (r Report) receiver(w io.Writer, one ReceiverReport, wide bool) {
	title := ""
	if len(r.Receivers) > 1 {
		title = " OF " + one.Name
	}
	fmt.Fprintln(w)
	t := newTable(w, "TYPE"+title, "OBJECTS", "BYTES", "LEFT OUT", "EMBEDDINGS A DAY")
	for _, x := range one.Types {
		if wide || x.Objects > 0 || x.LeftOut > 0 {
			t.row(x.Resource, x.Objects, size(x.Bytes), x.LeftOut, r.daily(x.PerDay.Embeddings))
		}
	}
	t.flush()

	fmt.Fprintln(w)
	t = newTable(w, "NAMESPACE"+title, "OBJECTS", "BYTES")
	for _, x := range one.Namespaces {
		t.row(x.Namespace, x.Objects, size(x.Bytes))
	}
	t.flush()

	if len(one.LeftOut) > 0 {
		fmt.Fprintln(w)
		t = newTable(w, "LEFT OUT"+title, "OBJECTS")
		for _, x := range one.LeftOut {
			t.row(explained(x.Reason), x.Objects)
		}
		t.flush()
	}
	if len(one.Restless) > 0 {
		fmt.Fprintln(w)
		t = newTable(w, "RESTLESS"+title, "EMBEDDINGS A DAY", "CHANGES SEEN", "WHAT CHANGES")
		for i, x := range one.Restless {
			if !wide && i == shown {
				break
			}
			t.row(x.ID, x.EmbeddingsPerDay, x.Changes, strings.Join(x.Causes, ", "))
		}
		t.flush()
	}
}

// explained names the settings behind a reason.
func explained(reason string) string {
	for _, e := range []struct{ reason, text string }{
		{byType, "type: not among those that this receiver wants"},
		{byNamespace, "namespace: WATCH_NAMESPACES, EXCLUDE_NAMESPACES"},
		{"labelSelector", "label selector: WATCH_LABEL_SELECTOR"},
		{"optOut", "opted out: OPT_OUT_ANNOTATION on the object"},
		{"controlled", "controlled by a watched object: SKIP_CONTROLLED"},
	} {
		if e.reason == reason {
			return e.text
		}
	}
	return reason
}

// problems writes what the plan does not know, and what it did not look at.
func (r Report) problems(w io.Writer, wide bool) {
	for _, part := range []struct {
		title string
		list  []Unreadable
	}{{"UNREADABLE", r.Unreadable}, {"NOT WATCHED TO THE END", r.Unwatched}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintln(w)
		t := newTable(w, part.title, "REASON", "ERROR")
		for _, x := range part.list {
			t.row(x.Resource, x.Reason, x.Error)
		}
		t.flush()
	}
	for _, one := range r.Receivers {
		if one.Problem != "" {
			fmt.Fprintf(w, "\nReceiver %s cannot be served: %s\n", printable(one.Name), printable(one.Problem))
		}
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintf(w, "\nNothing is served by the name of: %s\n", printable(strings.Join(r.Unknown, ", ")))
	}
	if left := r.LeftOutTypes; len(left) > 0 {
		text := strings.Join(left, ", ")
		if !wide && len(left) > shown {
			text = fmt.Sprintf("%s and %d more", strings.Join(left[:shown], ", "), len(left)-shown)
		}
		fmt.Fprintf(w, "\nTypes that are served and not read: %s\n", printable(text))
	}
}

// table has columns as kubectl has them.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...any) table {
	t := table{tabwriter.NewWriter(w, 6, 4, 3, ' ', 0)}
	t.row(columns...)
	return t
}

func (t table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = printable(fmt.Sprint(c))
	}
	fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

func (t table) flush() { _ = t.w.Flush() } // to a terminal or a pipe: the error has no other place to go

// printable is a text in one line, without control characters of a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}
