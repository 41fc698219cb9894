package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

func TestReferenceIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatalf("reading the reference: %v", err)
	}
	if diff := cmp.Diff(render(config.Settings()), string(got)); diff != "" {
		t.Errorf("docs/configuration.md is stale, run go generate ./internal/config (-want +got):\n%s", diff)
	}
}

func TestSampleErrorsAreTrue(t *testing.T) {
	_, err := config.FromEnviron([]string{"POD_NAME=sync-0", "DEBOUNCE_WINDOW_MS=ten", "REST_ENDPOINT=cluster-whisperer:3000"})
	if err == nil {
		t.Fatal("FromEnviron() takes what the reference says it refuses")
	}
	if diff := cmp.Diff(sampleErrors, err.Error()); diff != "" {
		t.Errorf("the reference shows other errors than there are (-want +got):\n%s", diff)
	}
}

func TestCellKeepsStarsApart(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"star in text":   {"globs such as */description", `globs such as \*/description`},
		"star in code":   {"a `*` | b", "a `*` \\| b"},
		"nothing at all": {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cell(tt.text); got != tt.want {
				t.Errorf("cell(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}
