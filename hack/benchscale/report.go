package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// These lines of the document enclose the tables.
const (
	tableBegin = "<!-- Written by make bench-scale. -->"
	tableEnd   = "<!-- The end of what make bench-scale writes. -->"
)

// maxLine bounds the length of a result: one of an hour has a sample for each minute.
const maxLine = 1 << 20

// errNoMarkers says that a document has no place for the tables.
var errNoMarkers = errors.New("the document has no place for the tables")

// report writes the tables of all results into a document.
func report(results, document string) error {
	body, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	text, err := reported(results, string(body))
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	return os.WriteFile(document, []byte(text), 0o600)
}

// reported returns the document with the tables of all results.
func reported(results, document string) (string, error) {
	all, err := read(results)
	if err != nil {
		return "", err
	}
	before, rest, begins := strings.Cut(document, tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", errNoMarkers
	}
	return before + tableBegin + "\n" + written(all) + "\n" + tableEnd + after, nil
}

// read reads a file of results.
func read(path string) (all []result, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		var r result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		all = append(all, r)
	}
	return all, s.Err()
}

// measured is one scenario with all of its runs.
type measured struct {
	scenario
	runs []result
}

// grouped puts the runs of a scenario together. It orders scenarios by size, replicas, kind and rate.
func grouped(all []result) []measured {
	by := make(map[scenario]*measured)
	for _, r := range all {
		if by[r.Scenario] == nil {
			by[r.Scenario] = &measured{scenario: r.Scenario}
		}
		by[r.Scenario].runs = append(by[r.Scenario].runs, r)
	}
	var ms []measured
	for _, m := range by {
		ms = append(ms, *m)
	}
	slices.SortFunc(ms, func(a, b measured) int { return strings.Compare(a.order(), b.order()) })
	return ms
}

func (s scenario) order() string {
	return fmt.Sprintf("%9d %-10s %6.0f %3d %9d %.2f %9d %9d %3d", s.Objects, s.Profile, s.Rate, s.Replicas, s.Latency,
		s.Failures, s.Away, s.For, s.InFlight)
}

// written is all tables, and a line about the commit and the machine.
func written(all []result) string {
	var b strings.Builder
	groups := grouped(all)
	for _, t := range tables {
		var rows [][]string
		for _, m := range groups {
			if t.has(m.scenario, groups) {
				rows = append(rows, t.row(m, groups))
			}
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n\n| %s |\n|%s\n", t.about, strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
		}
	}
	of := make(map[string]map[string]bool) // the commits, by machine
	for _, r := range all {
		if of[r.Machine] == nil {
			of[r.Machine] = make(map[string]bool)
		}
		of[r.Machine][r.Commit] = true
	}
	for _, m := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(&b, "\nMeasured of %s on %s.\n", strings.Join(slices.Sorted(maps.Keys(of[m])), ", "), m)
	}
	return b.String()
}

// spread is the least, the median and the most of all runs, or one figure if they are the same.
func (m measured) spread(format string, f func(result) float64) string {
	var values []float64
	for _, r := range m.runs {
		values = append(values, f(r))
	}
	slices.Sort(values)
	low, high := fmt.Sprintf(format, values[0]), fmt.Sprintf(format, values[len(values)-1])
	if low == high {
		return low
	}
	if len(values) == 2 { // two values have no middle
		return low + " / " + high
	}
	return low + " / " + fmt.Sprintf(format, values[len(values)/2]) + " / " + high
}

// median is the middle of all runs.
func (m measured) median(f func(result) float64) float64 {
	var values []float64
	for _, r := range m.runs {
		values = append(values, f(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// churn is spread for the cost of changes.
func (m measured) churn(format string, f func(*churned) float64) string {
	return m.spread(format, func(r result) float64 { return f(r.Churn) })
}

// counted says how many runs there were, and how busy the machine was.
func (m measured) counted() string {
	return fmt.Sprintf("%d, %s", len(m.runs), m.spread("%.0f", func(r result) float64 { return r.Load }))
}

// processor is the model of the processor.
func processor() string {
	model := "an unknown processor"
	if body, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(body), "model name\t: "); ok {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	return model
}
