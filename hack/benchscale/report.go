package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// The table stands between these lines of the document.
const (
	tableBegin = "<!-- Written by make bench-scale. -->"
	tableEnd   = "<!-- The end of what make bench-scale writes. -->"
)

// errNoMarkers is a document without a place for the table.
var errNoMarkers = errors.New("the document has no place for the table")

// report writes the table of all results into a document.
func report(results, document string) error {
	f, err := os.Open(results)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var order []scenario
	runs := make(map[scenario][]result)
	commits := make(map[string]bool)
	for s := bufio.NewScanner(f); s.Scan(); {
		var r result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return fmt.Errorf("reading %s: %w", results, err)
		}
		if len(runs[r.Scenario]) == 0 {
			order = append(order, r.Scenario)
		}
		runs[r.Scenario] = append(runs[r.Scenario], r)
		commits[r.Commit] = true
	}
	body, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(body), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s: %w", document, errNoMarkers)
	}
	var all []string
	for c := range commits {
		all = append(all, c)
	}
	slices.Sort(all)
	text := before + tableBegin + "\n\n" + table(order, runs) + "\nMeasured of " + strings.Join(all, ", ") + " on " + machine() + ".\n\n" +
		tableEnd + after
	return os.WriteFile(document, []byte(text), 0o600)
}

// table is in Markdown. Each figure is the least, the median and the most.
func table(order []scenario, runs map[scenario][]result) string {
	var b strings.Builder
	b.WriteString("| Scenario | Runs, load | At rest; peak of the start, MiB | Start | Changes | An event, ms | Sent | Lag p99, s |\n")
	b.WriteString("|----------|------------|------|-------|---------|--------|------|------|\n")
	for _, s := range order {
		rs := runs[s]
		spread := func(format string, f func(result) float64) string {
			var values []float64
			for _, r := range rs {
				values = append(values, f(r))
			}
			slices.Sort(values)
			low, high := fmt.Sprintf(format, values[0]), fmt.Sprintf(format, values[len(values)-1])
			if low == high {
				return low
			}
			return low + " / " + fmt.Sprintf(format, values[len(values)/2]) + " / " + high
		}
		name := fmt.Sprintf("%d objects, %d replicas", s.Objects, s.Replicas)
		changes, event, sent, lag := "", "", "", ""
		if s.Rate > 0 {
			name += ", " + s.Profile
			changes = fmt.Sprintf("%.0f/s for %v: %s of a core", s.Rate, s.For, spread("%.3f", func(r result) float64 { return r.CPU }))
			event = spread("%.3f", func(r result) float64 { return r.PerEvent })
			sent = spread("%.0f", func(r result) float64 { return float64(r.Upserts) })
			lag = spread("%.1f", func(r result) float64 { return r.LagP99 })
		}
		fmt.Fprintf(&b, "| %s | %d, %s | %s; %s | %s s, %s s of CPU | %s | %s | %s | %s |\n", name,
			len(rs), spread("%.0f", func(r result) float64 { return r.Load }),
			spread("%.1f", func(r result) float64 { return r.Rest }), spread("%.1f", func(r result) float64 { return r.Peak }),
			spread("%.0f", func(r result) float64 { return r.Start }), spread("%.1f", func(r result) float64 { return r.StartCPU }),
			changes, event, sent, lag)
	}
	return b.String()
}

// machine says what this was measured on.
func machine() string {
	model := "an unknown processor"
	if body, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(body), "model name\t: "); ok {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), model, runtime.Version())
}
