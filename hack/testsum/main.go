// Command testsum adds up the output of `go test -json`, over any number of runs, and prints one line.
//
//	go run ./hack/testsum FILE...
//
// It names the failed and the slowest tests, and ends with "N passed, N failed, N skipped". Tests are counted with
// their subtests. A package that fails without a failing test, because it does not compile or ends on its own,
// counts as a failed test. It exits with 1 when a test failed or none ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
}

// errFailed sets the exit status. The lines before it name the failures.
var errFailed = errors.New("not everything passed")

// event is a line of `go test -json`.
type event struct {
	Action, Package, Test string
	Elapsed               float64 // seconds
}

// test names a test, or a package by itself.
type test struct{ pkg, name string }

func (t test) String() string {
	if t.name == "" {
		return t.pkg
	}
	return t.pkg + "." + t.name
}

// totals are the sums of all runs.
type totals struct {
	passed, skipped int
	failed          []test
	slow            map[test]time.Duration
}

func run(files []string, out io.Writer) error {
	sum := totals{slow: make(map[test]time.Duration)}
	for _, name := range files {
		if err := sum.addFile(name); err != nil {
			return err
		}
	}
	sum.print(out)
	if len(sum.failed) > 0 || sum.passed == 0 {
		return errFailed
	}
	return nil
}

func (s *totals) addFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening a report: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := s.add(file); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// add adds one run.
func (s *totals) add(r io.Reader) error {
	blamed := make(map[string]bool) // packages with a failed test
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("decoding %q: %w", line, err)
		}
		s.count(e, blamed)
	}
}

func (s *totals) count(e event, blamed map[string]bool) {
	t := test{e.Package, e.Test}
	switch {
	case e.Action == "fail" && (e.Test != "" || !blamed[e.Package]):
		blamed[e.Package] = true
		s.failed = append(s.failed, t)
	case e.Test == "": // a package, for which its tests speak
	case e.Action == "pass":
		s.passed++
		s.slow[t] = time.Duration(e.Elapsed * float64(time.Second))
	case e.Action == "skip":
		s.skipped++
	}
}

func (s *totals) print(out io.Writer) {
	tests := make([]test, 0, len(s.slow))
	for t, took := range s.slow {
		if took >= time.Second {
			tests = append(tests, t)
		}
	}
	slices.SortFunc(tests, func(a, b test) int {
		return cmp.Or(cmp.Compare(s.slow[b], s.slow[a]), cmp.Compare(a.String(), b.String()))
	})
	for _, t := range tests[:min(10, len(tests))] {
		_, _ = fmt.Fprintf(out, "slow: %8s %s\n", s.slow[t].Round(100*time.Millisecond), t)
	}
	for _, t := range s.failed {
		_, _ = fmt.Fprintf(out, "FAILED: %s\n", t)
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", s.passed, len(s.failed), s.skipped)
}
