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

// scenario is the subject of a measurement.
type scenario struct {
	Objects  int           `json:"objects"`
	Replicas int           `json:"replicas"`
	Profile  string        `json:"profile"`
	Rate     float64       `json:"rate"`     // changes a second
	For      time.Duration `json:"for"`      // of the churn
	Latency  time.Duration `json:"latency"`  // of the receiver
	Failures float64       `json:"failures"` // of the receiver: the share of its requests
	Away     time.Duration `json:"away"`     // of the receiver, from the beginning of the churn
	Sample   time.Duration `json:"sample"`   // how often the replicas are sampled during the churn, 0 for never
	// InFlight is how many requests each replica may have in flight, so that they bound it, and not the processor.
	// More changes are to be offered than can be sent. 0 is the default of the program, for all replicas together.
	InFlight int `json:"inFlight,omitempty"`
}

func (s scenario) String() string {
	return fmt.Sprintf("%d objects, %d replicas, %s at %.0f/s for %v", s.Objects, s.Replicas, s.Profile, s.Rate, s.For)
}

const (
	// settle is how long a replica is left alone before its memory is read: it returns free memory every 10 s.
	settle = 15 * time.Second
	// idle is how long a replica is watched at rest.
	idle = 10 * time.Second
	// look is the pause between two looks at the receiver.
	look = 200 * time.Millisecond
)

// patience bounds the wait for equality: 15 minutes, and half an hour with a million objects.
func (s scenario) patience() time.Duration {
	return max(15*time.Minute, time.Duration(s.Objects)*2*time.Millisecond)
}

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

// measure measures one run.
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
	out := result{Scenario: s, Machine: machine()}
	if err := b.start(ctx, &out.Start); err != nil {
		return out, err
	}
	if s.Rate > 0 {
		out.Churn = new(churned)
		if err := b.churn(ctx, &out, seed); err != nil {
			return out, err
		}
	}
	out.Load = loadAverage()
	return out, nil
}

// start starts the replicas, waits until the receiver has every object, and watches the replicas at rest.
func (b *bench) start(ctx context.Context, out *started) error {
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
		if b.scenario.InFlight > 0 {
			env["MAX_IN_FLIGHT"] = strconv.Itoa(b.scenario.InFlight * b.scenario.Replicas)
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
	out.Took = time.Since(b.began).Seconds()
	first, err := b.used(ctx)
	if err != nil {
		return err
	}
	out.CPU = mean(first, cpu)
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := b.used(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, idle); err != nil {
		return err
	}
	after, err := b.used(ctx)
	if err != nil {
		return err
	}
	out.Rest, out.Peak = mean(after, resident), most(after, peak)
	out.IdleCPU = (mean(after, cpu) - mean(before, cpu)) / idle.Seconds()
	return nil
}

// churn makes changes, and waits until the receiver has them.
func (b *bench) churn(ctx context.Context, out *result, seed uint64) error {
	l := newLoad(b.server, b.sink, b.scenario.Profile, seed)
	b.sink.reset()
	b.sink.setAway(b.scenario.Away > 0)
	before, err := b.used(ctx)
	if err != nil {
		return err
	}
	traffic := b.server.Traffic()
	began := time.Now()
	b.profileTheFirst(ctx)
	sampled := b.sample(ctx, began)
	c := out.Churn
	if b.scenario.Away > 0 {
		defer time.AfterFunc(b.scenario.Away, func() { b.sink.setAway(false) }).Stop()
	}
	if err := b.offer(ctx, l, c); err != nil {
		return err
	}
	ends, err := b.used(ctx)
	if err != nil {
		return err
	}
	c.After, c.Waiting = mean(ends, resident), b.sink.missing()
	c.Traffic = trafficSince(b.server.Traffic(), traffic, time.Since(began))
	b.sink.setAway(false)
	ended := time.Now()
	if err := b.equal(ctx); err != nil {
		return err
	}
	c.Drained = time.Since(ended).Seconds()
	after, err := b.used(ctx)
	if err != nil {
		return err
	}
	c.of(before, after, time.Since(began).Seconds(), out.Start.IdleCPU)
	out.Samples = sampled()
	var p50, p99 time.Duration
	c.Upserts, p50, p99 = b.sink.measured()
	c.LagP50, c.LagP99 = p50.Seconds(), p99.Seconds()
	return nil
}

// fill is the share of the time of changes after which replicas that are offered too much have a backlog.
const fill = 6

// offer makes the changes. Of replicas that are offered too much, it notes what they send after a time.
func (b *bench) offer(ctx context.Context, l *load, c *churned) error {
	s := b.scenario
	if s.InFlight == 0 {
		c.Events = l.run(ctx, s.Rate, s.For)
		return nil
	}
	c.Events = l.run(ctx, s.Rate, s.For/fill)
	before, err := b.used(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	c.Events += l.run(ctx, s.Rate, s.For-s.For/fill)
	after, err := b.used(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	for i, u := range after {
		c.Sent = append(c.Sent, float64(u.sent-before[i].sent)/took)
		c.Owned = append(c.Owned, u.owned)
	}
	return nil
}

// profileTheFirst writes profiles of the first replica, if the options ask for it. It ends with the churn, and
// costs a few per cent.
func (b *bench) profileTheFirst(ctx context.Context) {
	if b.opts.profiles == "" {
		return
	}
	go func() {
		name := fmt.Sprintf("%s-%.0f.pprof", b.scenario.Profile, b.scenario.Rate)
		seconds := int(b.scenario.For.Seconds())
		err := b.replicas[0].profile(ctx, fmt.Sprintf("profile?seconds=%d", seconds), filepath.Join(b.opts.profiles, "cpu-"+name))
		err = errors.Join(err, b.replicas[0].profile(ctx, "allocs", filepath.Join(b.opts.profiles, "allocs-"+name)))
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
		}
	}()
}

// used is the usage of each replica.
func (b *bench) used(ctx context.Context) ([]usage, error) {
	all := make([]usage, 0, len(b.replicas))
	for _, r := range b.replicas {
		u, err := r.used(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// errDiffers says that the receiver does not become equal to the cluster.
var errDiffers = errors.New("the receiver does not hold what the cluster does")

// equal waits until the receiver holds what the cluster holds. It compares when no request has come since the last
// look: comparing a million objects takes seconds, in which the receiver takes no request.
func (b *bench) equal(ctx context.Context) error {
	deadline := time.Now().Add(b.scenario.patience())
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

// loadAverage is the load of the machine over a minute.
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
