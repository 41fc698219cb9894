// Command benchscale measures what replicas cost, from 20,000 to 1,000,000 objects and 300 to 3,000 changes a second.
//
//	make bench-scale                                                 all of it: the table of docs/benchmarks.md
//	go run ./hack/benchscale -objects 20000,100000 -rates 0          memory
//	go run ./hack/benchscale -profile status -rates 300,3000         what an event costs that changes nothing
//	go run ./hack/benchscale -profile labels -rates 100 -replicas 4  shares
//
// Replicas are processes as they are shipped. Against them stands a recording of a real API server, multiplied (package
// replay), so that two cores suffice; what counts is what /proc says of the replicas. Each run begins with new ones.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
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
	scenario                                      scenario // what all have in common
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
	flag.StringVar(&o.binary, "binary", "bin/k8s-vectordb-sync", "the program")
	flag.StringVar(&o.recording, "recording", "dist/bench/recording.json.gz", "the recording, made if it is not there")
	flag.StringVar(&o.profiles, "cpuprofiles", "", "a directory for profiles of the first replica")
	flag.StringVar(&o.results, "results", "dist/bench/results.jsonl", "the file to which results are appended")
	document := flag.String("report", "", "writes the table of all results into this document, and measures nothing")
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

// errUnknown is a name that is none.
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
func all(ctx context.Context, o options, recording *replay.Recording) (err error) {
	f, err := os.OpenFile(o.results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	of := commit(ctx) // now: somebody may go on working in the tree
	for _, n := range o.objects {
		for _, replicas := range o.replicas {
			for _, rate := range o.rates {
				s := o.scenario
				s.Objects, s.Replicas, s.Rate, s.Profile = n, replicas, rate, o.profile
				for i := range o.runs {
					r, err := measure(ctx, o, recording, s, uint64(i+1))
					if err != nil {
						return fmt.Errorf("%v: %w", s, err)
					}
					r.Commit = of
					fmt.Println(r)
					if err := json.NewEncoder(f).Encode(r); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// recordedObjects is how many objects a recording has: enough of each of 92 types for their variety.
const recordedObjects = 3000

// recorded loads the recording, or makes it of a real API server.
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
