package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
)

// result is the measurement of one run.
type result struct {
	Scenario scenario `json:"scenario"`
	Start    started  `json:"start"`
	Churn    *churned `json:"churn,omitempty"`
	Samples  []sample `json:"samples,omitempty"`
	Commit   string   `json:"commit"`
	Machine  string   `json:"machine"`
	// Load is the load of the machine over a minute: other work makes times longer, and hardly changes processor time.
	Load float64 `json:"load"`
}

// started is the cost of a start, and the state after it. For several replicas it is the mean, except for Peak.
type started struct {
	Took    float64 `json:"took"`    // from the start of the processes to equality, in seconds
	CPU     float64 `json:"cpu"`     // used by one replica for that, in seconds
	Rest    float64 `json:"rest"`    // memory in MiB when everything is read
	Peak    float64 `json:"peak"`    // the highest memory until then
	IdleCPU float64 `json:"idleCPU"` // the share of a core at rest
}

// churned is the cost of changes. For several replicas it is the mean, unless a field says otherwise.
type churned struct {
	Events int `json:"events"`
	// CPU is the share of a core during the changes and until equality after them; Busiest is that of the replica with
	// the most.
	CPU     float64 `json:"cpu"`
	Busiest float64 `json:"busiest"`
	// PerEvent is the cost of each change for a replica, in ms of processor time beyond that at rest. PerEventBusiest
	// is that of the busiest one.
	PerEvent        float64 `json:"perEvent"`
	PerEventBusiest float64 `json:"perEventBusiest"`
	Upserts         int     `json:"upserts"` // how many objects were sent
	// LagP50 and LagP99 are from a change to its arrival. Drained is from the end of the changes to equality. All are
	// in seconds.
	LagP50  float64 `json:"lagP50"`
	LagP99  float64 `json:"lagP99"`
	Drained float64 `json:"drained"`
	// After is memory in MiB at the end of the changes, when Waiting objects had not arrived.
	After   float64 `json:"after"`
	Waiting int     `json:"waiting"`
	// Shares is how many of the upserts each replica sent.
	Shares []int `json:"shares"`
	// Sent is how many objects each replica sends a second that is offered more than its requests in flight can carry.
	Sent []float64 `json:"sent,omitempty"`
	// Owned is how many objects are those of each of these replicas.
	Owned []int `json:"owned,omitempty"`
	// Traffic is the requests of all replicas to the API server, by verb and resource.
	Traffic map[string]traffic `json:"traffic"`
}

// traffic is the requests to the API server, per second.
type traffic struct {
	Requests float64 `json:"requests"`
	Bytes    float64 `json:"bytes"` // of the answers
}

// of fills in the differences between two moments.
func (c *churned) of(before, after []usage, took, idle float64) {
	for i := range before {
		share := (after[i].cpu - before[i].cpu).Seconds() / took
		c.CPU += share / float64(len(before))
		c.Busiest = max(c.Busiest, share)
		c.Shares = append(c.Shares, after[i].sent-before[i].sent)
	}
	per := 1000 * took / float64(max(1, c.Events))
	c.PerEvent, c.PerEventBusiest = (c.CPU-idle)*per, (c.Busiest-idle)*per
}

// trafficSince is the traffic between two moments.
func trafficSince(now, before map[string]replay.Traffic, took time.Duration) map[string]traffic {
	all := make(map[string]traffic)
	for k, n := range now {
		n.Requests -= before[k].Requests
		n.Bytes -= before[k].Bytes
		if n.Requests > 0 || n.Bytes > 0 {
			all[k] = traffic{float64(n.Requests) / took.Seconds(), float64(n.Bytes) / took.Seconds()}
		}
	}
	return all
}

// sample is the state of replicas at a moment of the changes: of each figure, the most of all replicas.
type sample struct {
	At         float64 `json:"at"`  // seconds since the changes began
	CPU        float64 `json:"cpu"` // seconds since the start of the process
	Resident   float64 `json:"resident"`
	Goroutines float64 `json:"goroutines"`
	Files      float64 `json:"files"`
	Threads    float64 `json:"threads"`
}

// sample begins to watch the replicas. The function that it returns ends that, and returns the samples.
func (b *bench) sample(ctx context.Context, began time.Time) func() []sample {
	if b.scenario.Sample == 0 {
		return func() []sample { return nil }
	}
	ctx, stop := context.WithCancel(ctx)
	var all []sample
	var done sync.WaitGroup
	done.Go(func() {
		for sleep(ctx, b.scenario.Sample) == nil {
			us, err := b.used(ctx)
			if err != nil {
				fmt.Fprintln(os.Stderr, "no sample:", err)
				continue
			}
			all = append(all, sample{
				At: time.Since(began).Seconds(), CPU: most(us, cpu), Resident: most(us, resident),
				Goroutines: most(us, goroutines), Files: most(us, files), Threads: most(us, threads),
			})
		}
	})
	return func() []sample {
		stop()
		done.Wait()
		return all
	}
}

// These functions return one figure of a usage: seconds, MiB or counts.
func cpu(u usage) float64        { return u.cpu.Seconds() }
func resident(u usage) float64   { return float64(u.resident) / (1 << 20) }
func peak(u usage) float64       { return float64(u.peak) / (1 << 20) }
func goroutines(u usage) float64 { return float64(u.goroutines) }
func files(u usage) float64      { return float64(u.files) }
func threads(u usage) float64    { return float64(u.threads) }

func mean(all []usage, f func(usage) float64) float64 {
	var sum float64
	for _, u := range all {
		sum += f(u)
	}
	return sum / float64(len(all))
}

func most(all []usage, f func(usage) float64) float64 {
	var highest float64
	for _, u := range all {
		highest = max(highest, f(u))
	}
	return highest
}

// saturated is how many objects all replicas together send a second, if each has more than it can send.
func (r result) saturated() float64 {
	var sum float64
	for _, n := range r.Churn.Sent {
		sum += n
	}
	return sum
}

// follows is how many changes a second, spread evenly over all objects, the fleet sends without a growing backlog. The
// replica with the largest share for what it can send bounds it.
func (r result) follows() float64 {
	all, least := 0, math.Inf(1)
	for _, n := range r.Churn.Owned {
		all += n
	}
	for i, n := range r.Churn.Sent {
		share := float64(r.Churn.Owned[i]) / float64(max(1, all))
		least = min(least, n/max(share, 1e-9))
	}
	return least
}

// String describes the result in a few lines.
func (r result) String() string {
	s := fmt.Sprintf("%v: start %.1f s, %.2f s of CPU; rest %.1f MiB, peak %.1f; idle %.4f of a core; load %.1f",
		r.Scenario, r.Start.Took, r.Start.CPU, r.Start.Rest, r.Start.Peak, r.Start.IdleCPU, r.Load)
	if r.Scenario.InFlight > 0 && r.Churn != nil {
		s += fmt.Sprintf("\n  sent a second %.0f, of each %.0f; without a growing backlog %.0f; objects of each %v",
			r.saturated(), r.Churn.Sent, r.follows(), r.Churn.Owned)
	}
	if c := r.Churn; c != nil {
		s += fmt.Sprintf("\n  %d events, %.4f ms each, %.4f at the busiest, %.3f of a core; %d upserts, %v; lag p50 %.2f p99 %.2f; "+
			"%d waiting, after %.1f MiB; drained %.1f s", c.Events, c.PerEvent, c.PerEventBusiest, c.CPU, c.Upserts, c.Shares,
			c.LagP50, c.LagP99, c.Waiting, c.After, c.Drained)
	}
	return s
}

// machine describes the machine of the measurement.
func machine() string {
	return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), processor(), runtime.Version())
}
