// Command gen writes the reference of all metrics: go run ./internal/metricsdoc/gen docs/metrics.md.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/metricsdoc"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(path string) error {
	reg, err := registry()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := metricsdoc.Write(&b, reg); err != nil {
		return err // The error needs no context.
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the reference of metrics: %w", err)
	}
	return nil
}
