package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFlagsDefaultToAStrictReceiverOnLoopback(t *testing.T) {
	f, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.listen != "127.0.0.1:3000" || f.options.Lenient || f.options.Admin || f.options.Dir != "" {
		t.Errorf("%+v, want loopback, strict, no admin, in memory", f)
	}
}

func TestFlagsReachTheOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := parseFlags([]string{"--strict=false", "--dot-ai-token-file", file, "--embed-latency=150ms", "--settle=1m", "--admin",
		"--embedder-url=http://ollama:11434", "--embedder-model=nomic-embed-text", "--embedder-batch=8"})
	if err != nil {
		t.Fatal(err)
	}
	o := f.options
	if !o.Lenient || o.DotAIToken != "s3cret" || o.EmbedLatency != 150*time.Millisecond || o.Settle != time.Minute || !o.Admin {
		t.Errorf("%+v", o)
	}
	if e := o.Embedder; e.URL != "http://ollama:11434" || e.Model != "nomic-embed-text" || e.Batch != 8 || e.Timeout != 30*time.Second {
		t.Errorf("%+v", e)
	}
}

func TestWrongFlagsAreReportedTogether(t *testing.T) {
	_, err := parseFlags([]string{"--embed-latency=-1s", "--settle=-1s", "--max-records=-1", "--dot-ai-token=a", "--dot-ai-token-file=b",
		"--embedder-model=m", "--embedder-batch=0", "--embedder-timeout=-1s"})
	for _, want := range []string{"--embed-latency", "--settle", "--max-records", "both set", "--embedder-url", "--embedder-batch", "--embedder-timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := parseFlags([]string{"extra"}); err == nil {
		t.Error("an argument was accepted")
	}
}
