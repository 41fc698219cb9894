package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	docs      = "../../docs/"
	committed = docs + "benchmarks/scale.jsonl"
)

// TestDocument_Tables_AreThoseOfTheResults compares the tables in the document with the results.
func TestDocument_Tables_AreThoseOfTheResults(t *testing.T) {
	document, err := os.ReadFile(docs + "benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	got, err := reported(committed, string(document))
	if err != nil {
		t.Fatal(err)
	}
	if got != string(document) {
		t.Error("docs/benchmarks.md has other tables than docs/benchmarks/scale.jsonl: run make bench-scale PART=report")
	}
}

// TestDocument_Plots_AreThoseOfTheResults compares the plots, the results and the program that draws them with the
// checksums that it wrote. Drawing them here would take a library for that.
func TestDocument_Plots_AreThoseOfTheResults(t *testing.T) {
	sums, err := os.ReadFile(docs + "benchmarks/sha256sums")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for line := range strings.Lines(string(sums)) {
		want, path, _ := strings.Cut(strings.TrimSpace(line), "  ")
		named = append(named, filepath.Base(path))
		body, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s is not what the plots were drawn of: run make bench-scale PART=report", path)
		}
	}
	for _, want := range []string{"scale.jsonl", "main.go", "memory.svg", "cpu.svg", "lag.svg", "shares.svg"} {
		if !strings.Contains(strings.Join(named, " "), want) {
			t.Errorf("no sum of %s", want)
		}
	}
	drawn, err := filepath.Glob(docs + "benchmarks/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(docs + "benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range drawn {
		if name := filepath.Base(path); !bytes.Contains(sums, []byte(name)) || !bytes.Contains(document, []byte("(benchmarks/"+name+")")) {
			t.Errorf("%s has no sum, or is not shown", name)
		}
	}
}

func TestReported_SeveralRuns_LeastMedianAndMost(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results")
	line := `{"scenario":{"objects":20000,"replicas":1,"profile":"status","rate":300,"for":60000000000},` +
		`"start":{"rest":46},"churn":{"perEvent":0.1},"commit":"abc","machine":"two cores"}` + "\n"
	one := strings.Replace(line, `"rate":300`, `"rate":0`, 1)
	body := strings.Replace(line, "0.1", "0.3", 1) + line + strings.Replace(line, "0.1", "0.2", 1) + one
	if err := os.WriteFile(results, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	document := "before\n" + tableBegin + "\nold\n" + tableEnd + "\nafter\n"
	var err error
	for range 2 { // the second time, it replaces its own result
		if document, err = reported(results, document); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"before\n", "\nafter\n", "| status, 300/s for 1 min | 3, 0 | 0.000 | 0.100 / 0.200 / 0.300 |", "| 20000 | 1, 0 | 46.0 |",
		"Measured of abc on two cores.",
	} {
		if !strings.Contains(document, want) {
			t.Errorf("the document lacks %q:\n%s", want, document)
		}
	}
	if strings.Contains(document, "old") || strings.Count(document, tableBegin) != 1 {
		t.Errorf("the document has an old table:\n%s", document)
	}
	if _, err := reported(results, "no markers"); err == nil {
		t.Error("a document without markers is taken")
	}
}

// TestReported_RequestsBoundTheFleet_TimesOfOneAndWhatTheLargestShareAllows computes the row by hand. Four replicas
// send 100, 100, 100 and 90 a second, and own 20, 25, 25 and 30 % of the objects. The last one follows 90 / 0.3.
func TestReported_RequestsBoundTheFleet_TimesOfOneAndWhatTheLargestShareAllows(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results")
	line := `{"scenario":{"objects":3000,"replicas":1,"profile":"labels","rate":600,"for":60000000000,"latency":1000000000,"inFlight":2},` +
		`"churn":{"sent":[100],"owned":[3000]},"commit":"abc","machine":"two cores"}` + "\n"
	four := strings.NewReplacer(`"replicas":1`, `"replicas":4`, "[3000]", "[600,750,750,900]", "[100]", "[100,100,100,90]").Replace(line)
	if err := os.WriteFile(results, []byte(four+line), 0o600); err != nil {
		t.Fatal(err)
	}
	document, err := reported(results, tableBegin+tableEnd)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1 | 2 each, takes 1s | labels, 600/s for 1 min | 1, 0 | 100 |  | 100 | 100 |  |",
		"| 4 | 2 each, takes 1s | labels, 600/s for 1 min | 1, 0 | 390 | 3.9 | 30 | 300 | 3.0 |",
	} {
		if !strings.Contains(document, want) {
			t.Errorf("the document lacks %q:\n%s", want, document)
		}
	}
	if strings.Contains(document, "Receivers that are slow") {
		t.Errorf("it is a row about receivers, too:\n%s", document)
	}
}

// TestAdd_AnotherCommit_TakesThePlace keeps figures of different programs out of one row.
func TestAdd_AnotherCommit_TakesThePlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	one := result{Scenario: scenario{Objects: 1}, Commit: "old"}
	other := result{Scenario: scenario{Objects: 2}, Commit: "old"}
	for _, r := range []result{one, other, one} {
		if err := add(path, r); err != nil {
			t.Fatal(err)
		}
	}
	one.Commit = "new"
	if err := add(path, one); err != nil {
		t.Fatal(err)
	}
	got, err := read(path)
	if err != nil || len(got) != 2 || got[0].Commit != "old" || got[0].Scenario.Objects != 2 || got[1].Commit != "new" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestOf_TwoReplicas_MeanAndBusiest compares the cost of an event with one that is counted by hand.
func TestOf_TwoReplicas_MeanAndBusiest(t *testing.T) {
	before := []usage{{cpu: 1e9, sent: 5}, {cpu: 2e9, sent: 5}}
	after := []usage{{cpu: 2e9, sent: 25}, {cpu: 5e9, sent: 85}}
	c := churned{Events: 1000}
	c.of(before, after, 10, 0.1) // 0.1 and 0.3 of a core, of which 0.1 are used at rest
	near := func(got, want float64) bool { return got > want-1e-9 && got < want+1e-9 }
	if !near(c.CPU, 0.2) || !near(c.Busiest, 0.3) || !near(c.PerEvent, 1) || !near(c.PerEventBusiest, 2) {
		t.Errorf("got %+v", c)
	}
	if len(c.Shares) != 2 || c.Shares[0] != 20 || c.Shares[1] != 80 {
		t.Errorf("shares are %v, want 20 and 80", c.Shares)
	}
}
