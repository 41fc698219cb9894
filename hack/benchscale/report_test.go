package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableHasLeastMedianAndMost(t *testing.T) {
	dir := t.TempDir()
	results, document := filepath.Join(dir, "results"), filepath.Join(dir, "document")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := `{"scenario":{"objects":20000,"replicas":1,"profile":"status","rate":300},"perEvent":0.1,"rest":46,"commit":"abc"}` + "\n"
	write(results, strings.Replace(line, "0.1", "0.3", 1)+line+strings.Replace(line, "0.1", "0.2", 1))
	write(document, "before\n"+tableBegin+"\nold\n"+tableEnd+"\nafter\n")
	for range 2 { // a second time it takes its own place
		if err := report(results, document); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n", "\nafter\n", "| 20000 objects, 1 replicas, status | 3, 0 | 46.0;", "| 0.100 / 0.200 / 0.300 |", "Measured of abc on ",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the document lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "old") || strings.Count(string(body), tableBegin) != 1 {
		t.Errorf("the document has an old table:\n%s", body)
	}
	write(document, "no markers")
	if err := report(results, document); err == nil {
		t.Error("a document without markers is taken")
	}
}
