package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
)

// scenario is what is measured.
type scenario struct {
	Objects  int           `json:"objects"`
	Replicas int           `json:"replicas"`
	Profile  string        `json:"profile"`
	Rate     float64       `json:"rate"`     // changes a second
	For      time.Duration `json:"for"`      // of the churn
	Latency  time.Duration `json:"latency"`  // of the receiver
	Failures float64       `json:"failures"` // of the receiver: the share of its requests
	Away     time.Duration `json:"away"`     // of the receiver, from the beginning of the churn
}

func (s scenario) String() string {
	return fmt.Sprintf("%d objects, %d replicas, %s at %.0f/s for %v", s.Objects, s.Replicas, s.Profile, s.Rate, s.For)
}

// result is what was measured in one run. Of several replicas it is the mean, but for Peak and Shares.
type result struct {
	Scenario scenario `json:"scenario"`
	// Start is from the start of the processes to equality, in seconds; StartCPU is what one replica used for it.
	Start    float64 `json:"start"`
	StartCPU float64 `json:"startCPU"`
	// Rest is memory in MiB when everything is known, Peak the highest until then, After that after the churn.
	Rest  float64 `json:"rest"`
	Peak  float64 `json:"peak"`
	After float64 `json:"after"`
	// IdleCPU is the share of a core at rest; CPU that during the churn, with what came after it until equality.
	IdleCPU float64 `json:"idleCPU"`
	CPU     float64 `json:"cpu"`
	// Events is how many changes there were, PerEvent what each cost a replica in ms beyond IdleCPU.
	Events   int     `json:"events"`
	PerEvent float64 `json:"perEvent"`
	// Upserts is how many objects were sent, and Shares the share of each connection's sender.
	Upserts int `json:"upserts"`
	// Lag is from a change to its arrival, in seconds; Drained from the end of the churn to equality.
	LagP50  float64 `json:"lagP50"`
	LagP99  float64 `json:"lagP99"`
	Drained float64 `json:"drained"`
	Commit  string  `json:"commit"`
	// Load is the machine's, over a minute: other work makes times longer, and processor time hardly.
	Load float64 `json:"load"`
}

// String says it in two lines.
func (r result) String() string {
	return fmt.Sprintf("%v: start %.1f s, %.2f s of CPU; rest %.1f MiB, peak %.1f; idle %.4f of a core\n"+
		"  %d events, %.4f ms each, %.3f of a core; %d upserts; lag p50 %.2f p99 %.2f; drained %.1f s; after %.1f MiB; load %.1f",
		r.Scenario, r.Start, r.StartCPU, r.Rest, r.Peak, r.IdleCPU,
		r.Events, r.PerEvent, r.CPU, r.Upserts, r.LagP50, r.LagP99, r.Drained, r.After, r.Load)
}

const (
	// settle is how long a replica is left alone before its memory is looked at: it gives back what is free each 10 s.
	settle = 15 * time.Second
	// idle is how long it is watched at rest.
	idle = 10 * time.Second
	// look is how often it is looked whether something has come.
	look = 200 * time.Millisecond
	// patience is how long equality is waited for.
	patience = 15 * time.Minute
)

// bench is one run.
type bench struct {
	opts     options
	scenario scenario
	server   *replay.Server
	sink     *sink
	replicas []*replica
	began    time.Time
	dir      string
}

// measure does one run.
func measure(ctx context.Context, opts options, recording *replay.Recording, s scenario, seed uint64) (_ result, err error) {
	dir, err := os.MkdirTemp("", "benchscale-")
	if err != nil {
		return result{}, err
	}
	server := replay.Start(recording, replay.Options{Objects: s.Objects})
	b := &bench{opts: opts, scenario: s, server: server, dir: dir}
	defer func() {
		for _, r := range b.replicas {
			if err != nil {
				fmt.Fprintln(os.Stderr, r.Tail(15))
			}
			err = errors.Join(err, r.Stop(false, 0))
		}
		b.server.Stop()
		_ = os.RemoveAll(dir)
	}()
	if b.sink, err = newSink(ctx, s.Latency, s.Failures, seed); err != nil {
		return result{}, err
	}
	defer b.sink.close()
	out := result{Scenario: s}
	if err := b.start(ctx, &out); err != nil {
		return out, err
	}
	if s.Rate > 0 {
		if err := b.churn(ctx, &out, seed); err != nil {
			return out, err
		}
	}
	out.Load = loadAverage()
	return out, nil
}

// start starts the replicas, waits until the receiver has everything, and looks at them at rest.
func (b *bench) start(ctx context.Context, out *result) error {
	kubeconfig := filepath.Join(b.dir, "kubeconfig")
	if err := b.server.WriteKubeconfig(kubeconfig); err != nil {
		return err
	}
	b.began = time.Now()
	for i := range b.scenario.Replicas {
		env := map[string]string{"KUBECONFIG": kubeconfig, "REST_ENDPOINT": b.sink.url}
		if b.opts.profiles == "" {
			env["DEBUG_ENDPOINTS"] = "false"
		}
		r, err := startReplica(b.opts.binary, b.dir, i, env)
		if err != nil {
			return err
		}
		b.replicas = append(b.replicas, r)
	}
	for _, r := range b.replicas {
		if err := r.ready(ctx); err != nil {
			return err
		}
	}
	if err := b.equal(ctx); err != nil {
		return err
	}
	out.Start = time.Since(b.began).Seconds()
	first, err := b.used()
	if err != nil {
		return err
	}
	out.StartCPU = first.cpu.Seconds()
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := b.used()
	if err != nil {
		return err
	}
	if err := sleep(ctx, idle); err != nil {
		return err
	}
	after, err := b.used()
	if err != nil {
		return err
	}
	out.Rest, out.Peak = mib(after.resident), mib(after.peak)
	out.IdleCPU = (after.cpu - before.cpu).Seconds() / idle.Seconds()
	return nil
}

// churn makes changes, and waits until the receiver has them.
func (b *bench) churn(ctx context.Context, out *result, seed uint64) error {
	l := newLoad(b.server, b.sink, b.scenario.Profile, seed)
	b.sink.reset()
	if b.scenario.Away > 0 {
		b.sink.setAway(true)
		defer time.AfterFunc(b.scenario.Away, func() { b.sink.setAway(false) }).Stop()
	}
	before, err := b.used()
	if err != nil {
		return err
	}
	began := time.Now()
	if b.opts.profiles != "" {
		name := fmt.Sprintf("cpu-%s-%.0f.pprof", b.scenario.Profile, b.scenario.Rate)
		go func() { // ends with the churn; what it costs is a few per cent
			seconds, path := int(b.scenario.For.Seconds()), filepath.Join(b.opts.profiles, name)
			if err := b.replicas[0].profile(ctx, seconds, path); err != nil {
				fmt.Fprintln(os.Stderr, "no profile:", err)
			}
		}()
	}
	out.Events = l.run(ctx, b.scenario.Rate, b.scenario.For)
	churned, err := b.used()
	if err != nil {
		return err
	}
	out.After = mib(churned.resident)
	ended := time.Now()
	if err := b.equal(ctx); err != nil {
		return err
	}
	out.Drained = time.Since(ended).Seconds()
	after, err := b.used()
	if err != nil {
		return err
	}
	took := time.Since(began)
	out.CPU = (after.cpu - before.cpu).Seconds() / took.Seconds()
	out.PerEvent = 1000 * (out.CPU - out.IdleCPU) * took.Seconds() / float64(max(1, out.Events))
	var p50, p99 time.Duration
	out.Upserts, p50, p99 = b.sink.measured()
	out.LagP50, out.LagP99 = p50.Seconds(), p99.Seconds()
	return nil
}

// used is the mean of the replicas, but the highest peak.
func (b *bench) used() (usage, error) {
	var mean usage
	for _, r := range b.replicas {
		u, err := r.used()
		if err != nil {
			return mean, err
		}
		n := len(b.replicas)
		mean.cpu += u.cpu / time.Duration(n)
		mean.resident += u.resident / int64(n)
		mean.peak = max(mean.peak, u.peak)
		mean.files, mean.threads = max(mean.files, u.files), max(mean.threads, u.threads)
	}
	return mean, nil
}

// errDiffers says that the receiver does not become equal.
var errDiffers = errors.New("the receiver does not hold what the cluster does")

// equal waits until the receiver holds what there is. It looks when nothing has come since the last time: to look at a
// million objects takes seconds, in which the receiver takes nothing.
func (b *bench) equal(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for seen := -1; ; {
		if came := b.sink.arrivals(); came != seen {
			seen = came
		} else if missing, stale := b.sink.differs(b.server); missing == 0 && stale == 0 {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("%d missing, %d stale: %w", missing, stale, errDiffers)
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// loadAverage is the machine's, over a minute.
func loadAverage() float64 {
	body, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var first string
	if _, err := fmt.Sscan(string(body), &first); err != nil {
		return 0
	}
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
