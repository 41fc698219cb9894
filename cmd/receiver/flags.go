package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

type flags struct {
	listen  string
	options receiver.Options
}

// parseFlags reads the command line and reports all mistakes in it.
func parseFlags(args []string) (flags, error) {
	var f flags
	var strict bool
	var tokenFile string
	o := &f.options
	set := pflag.NewFlagSet("receiver", pflag.ContinueOnError)
	set.SortFlags = false
	set.StringVar(&f.listen, "listen", "127.0.0.1:3000", "address to serve on")
	set.StringVar(&o.Dir, "data", "",
		"directory that keeps the documents; empty keeps them in memory")
	set.BoolVar(&strict, "strict", true,
		"be as strict as the real receivers; false reads any media type, takes the last of equal IDs, and needs no token when none is set")
	set.StringVar(&o.DotAIToken, "dot-ai-token", "",
		"bearer token of the dot-ai contract; without one it answers 401, as the real one does")
	set.StringVar(&tokenFile, "dot-ai-token-file", "",
		"file that holds the token, which keeps it out of the process list")
	set.Int64Var(&o.DotAIMaxBytes, "dot-ai-max-bytes", 0,
		"answer 413 to larger bodies of the dot-ai contract, as an nginx in front of it does at 1048576; 0 for no limit")
	set.DurationVar(&o.EmbedLatency, "embed-latency", 0,
		"time of one embedder call: one per 100 upserts (cluster-whisperer) or one per upsert (dot-ai)")
	set.DurationVar(&o.DeleteLatency, "delete-latency", 0,
		"time of one delete in the dot-ai contract; the real one takes 100ms")
	set.DurationVar(&o.ScanLatency, "scan-latency", 0, "time of one name in capabilities/scan")
	set.DurationVar(&o.Settle, "settle", 0,
		"how much later a request is written whose client has left")
	set.BoolVar(&o.Admin, "admin", false,
		"serve /admin/: records, documents, statistics, faults; for tests, never where others can reach it")
	set.IntVar(&o.MaxRecords, "max-records", 10_000, "finished requests to remember, 0 for all")
	set.BoolVar(&o.IndexOnSearch, "index-on-search", false,
		"index only when somebody searches, which leaves the CPU to what is being measured")
	set.StringVar(&o.Embedder.URL, "embedder-url", "",
		"embedder that speaks OpenAI's /v1/embeddings, such as http://ollama:11434; empty ranks by words alone")
	set.StringVar(&o.Embedder.Model, "embedder-model", "", "model to ask the embedder for, such as nomic-embed-text")
	set.StringVar(&o.Embedder.KeyFile, "embedder-key-file", "",
		"file that holds the embedder's bearer token; it is read for every request")
	set.IntVar(&o.Embedder.Batch, "embedder-batch", 32, "texts in one request to the embedder")
	set.DurationVar(&o.Embedder.Timeout, "embedder-timeout", 30*time.Second, "how long one request to the embedder may take")
	if err := set.Parse(args); err != nil {
		return flags{}, err
	}
	o.Lenient = !strict
	if set.NArg() > 0 {
		return flags{}, fmt.Errorf("arguments %q are not understood, want flags only", set.Args())
	}
	return f, f.complete(tokenFile)
}

func (f *flags) complete(tokenFile string) error {
	o := &f.options
	var errs []error
	for name, d := range map[string]time.Duration{
		"embed-latency": o.EmbedLatency, "delete-latency": o.DeleteLatency, "scan-latency": o.ScanLatency, "settle": o.Settle,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("--%s is %s, want 0 or more", name, d))
		}
	}
	if o.MaxRecords < 0 {
		errs = append(errs, fmt.Errorf("--max-records is %d, want 0 or more", o.MaxRecords))
	}
	if e := o.Embedder; e.Batch < 1 || e.Batch > 2048 {
		errs = append(errs, fmt.Errorf("--embedder-batch is %d, want 1 to 2048", e.Batch))
	}
	if e := o.Embedder; e.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--embedder-timeout is %s, want more than 0", e.Timeout))
	}
	if e := o.Embedder; e.URL == "" && (e.Model != "" || e.KeyFile != "") {
		errs = append(errs, errors.New("--embedder-model or --embedder-key-file is set without --embedder-url, want all or none"))
	}
	if tokenFile == "" {
		return errors.Join(errs...)
	}
	if o.DotAIToken != "" {
		return errors.Join(append(errs, errors.New("--dot-ai-token and --dot-ai-token-file are both set, want one of them"))...)
	}
	text, err := os.ReadFile(tokenFile)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("reading --dot-ai-token-file: %w", err))...)
	}
	if o.DotAIToken = strings.TrimSpace(string(text)); o.DotAIToken == "" {
		errs = append(errs, fmt.Errorf("--dot-ai-token-file %s is empty, want a token", tokenFile))
	}
	return errors.Join(errs...)
}
