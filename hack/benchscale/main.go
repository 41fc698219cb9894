// Command benchscale measures what replicas cost, from 20,000 to 1,000,000 objects and 300 to 3,000 changes a second.
//
//	make bench-scale                                                 all: tables and plots of docs/benchmarks.md
//	go run ./hack/benchscale -objects 20000,100000 -rates 0          memory
//	go run ./hack/benchscale -profile status -rates 300,3000         what an event costs that changes nothing
//	go run ./hack/benchscale -profile labels -rates 100 -replicas 4  shares
//	go run ./hack/benchscale -profile labels -rates 600 -replicas 1,2,4 -objects 3000 -latency 1s -in-flight 2
//	                                                                 what a fleet sends whose requests bound it
//
// Replicas are processes as they are shipped. Their API server is a multiplied recording of a real one (package
// replay), so that two cores suffice. Their cost is the figures of /proc. Each run begins with new replicas.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// options of the command.
type options struct {
	binary, recording, profiles, results, profile string
	objects, replicas                             []int
	rates                                         []float64
	runs                                          int
	scenario                                      scenario // what all runs have in common
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchscale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	objects := flag.String("objects", "20000", "how many objects, several with commas")
	replicas := flag.String("replicas", "1", "how many replicas, several with commas")
	rates := flag.String("rates", "300", "changes a second, several with commas; 0 measures memory and start alone")
	flag.StringVar(&o.profile, "profile", "status", "what changes: status, labels, rollout, namespace")
	flag.IntVar(&o.runs, "runs", 3, "how often each is measured")
	flag.DurationVar(&o.scenario.For, "for", 30*time.Second, "how long changes are made")
	flag.DurationVar(&o.scenario.Latency, "latency", 0, "what the receiver takes for a request")
	flag.Float64Var(&o.scenario.Failures, "failures", 0, "the share of requests that the receiver fails")
	flag.DurationVar(&o.scenario.Away, "away", 0, "how long the receiver is away from the beginning of the changes")
	flag.DurationVar(&o.scenario.Sample, "sample", 0, "how often the replicas are looked at during the changes, 0 for never")
	flag.IntVar(&o.scenario.InFlight, "in-flight", 0, "how many requests each replica may have in flight, to offer it more than it can send")
	flag.StringVar(&o.binary, "binary", "bin/k8s-vectordb-sync", "the program")
	flag.StringVar(&o.recording, "recording", "dist/bench/recording.json.gz", "the recording, made if it is not there")
	flag.StringVar(&o.profiles, "cpuprofiles", "", "a directory for profiles of the first replica: processor time and allocations")
	flag.StringVar(&o.results, "results", "docs/benchmarks/scale.jsonl", "the file of results: new ones take the place of those of another commit")
	document := flag.String("report", "", "writes the tables of all results into this document, and measures nothing")
	flag.Parse()
	if *document != "" {
		return report(o.results, *document)
	}
	var err error
	if o.objects, err = numbers(*objects, strconv.Atoi); err != nil {
		return err
	}
	if o.replicas, err = numbers(*replicas, strconv.Atoi); err != nil {
		return err
	}
	parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
	if o.rates, err = numbers(*rates, parse); err != nil {
		return err
	}
	if profiles[o.profile] == nil {
		return fmt.Errorf("profile %q: %w", o.profile, errUnknown)
	}
	recording, err := recorded(ctx, o.recording)
	if err != nil {
		return err
	}
	return all(ctx, o, recording)
}

// errUnknown says that a name is unknown.
var errUnknown = errors.New("there is no such thing")

func numbers[T any](list string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for s := range strings.SplitSeq(list, ",") {
		n, err := parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// all measures every combination, and appends each result to the file.
func all(ctx context.Context, o options, recording *replay.Recording) error {
	of := commit(ctx) // at the start: a person may go on working in the tree
	for _, n := range o.objects {
		for _, replicas := range o.replicas {
			for _, rate := range o.rates {
				s := o.scenario
				s.Objects, s.Replicas, s.Rate, s.Profile = n, replicas, rate, o.profile
				if rate == 0 { // without changes, the time of the churn does not matter
					s.Profile, s.For = "status", 0
				}
				for i := range o.runs {
					r, err := measure(ctx, o, recording, s, uint64(i+1))
					if err != nil {
						return fmt.Errorf("%v: %w", s, err)
					}
					r.Commit = of
					fmt.Println(r)
					if err := add(o.results, r); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// add puts a result into the file. It replaces results of the same scenario and of another commit.
func add(path string, r result) (err error) {
	all, err := read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all = slices.DeleteFunc(all, func(old result) bool { return old.Scenario == r.Scenario && old.Commit != r.Commit })
	var body bytes.Buffer
	for _, one := range append(all, r) {
		if err := json.NewEncoder(&body).Encode(one); err != nil {
			return err
		}
	}
	return os.WriteFile(path, body.Bytes(), 0o600)
}

// program is the pathspec of the replicas' sources for Git.
var program = []string{"--", "api", "cmd", "go.mod", "go.sum", "internal", ":!internal/testing", ":!*_test.go"}

// commit is the last commit that changed the program: it stays the same when other commits are rebased.
func commit(ctx context.Context) string {
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append(args, program...)...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	of := git("log", "-1", "--abbrev=10", "--format=%h")
	if git("status", "--porcelain") != "" {
		of += "-dirty"
	}
	return of
}

// recordedObjects is how many objects a recording has: enough of each of 92 types for their variety.
const recordedObjects = 3000

// recorded loads the recording, or makes it from a real API server.
func recorded(ctx context.Context, path string) (_ *replay.Recording, err error) {
	if _, err := os.Stat(path); err == nil {
		return replay.Load(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	cp, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cp.Stop()) }()
	if _, err := workload.Generate(ctx, cp.RESTConfig(), workload.Options{Objects: recordedObjects, Seed: 1}); err != nil {
		return nil, err
	}
	r, err := replay.Record(ctx, cp.RESTConfig())
	if err != nil {
		return nil, err
	}
	return r, r.Save(path)
}
