//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// lease holds the timings of a ring.
type lease struct {
	duration, deadline, interval time.Duration
}

// env are the timings as variables of a replica.
func (l lease) env() map[string]string {
	return map[string]string{
		"LEASE_DURATION_MS": ms(l.duration), "LEASE_RENEW_DEADLINE_MS": ms(l.deadline), "LEASE_RENEW_INTERVAL_MS": ms(l.interval),
	}
}

var (
	defaultLease = lease{15 * time.Second, 10 * time.Second, 5 * time.Second}
	shortLease   = lease{3 * time.Second, 2 * time.Second, 700 * time.Millisecond}
)

// These are the deeds of a storm. A deed with names applies to those replicas.
const (
	deedKill     = "kill -9"
	deedStart    = "start"
	deedStop     = "SIGSTOP"
	deedContinue = "SIGCONT"
	deedCut      = "cut off from the API server" // its connections are reset
	deedMute     = "hang its API server's line"  // they stay, and nothing passes
	deedMend     = "mend its line"
	deedLeave    = "SIGTERM"
	deedAPIKill  = "kill the API server"
	deedAPIStart = "start the API server"
	deedAPIPause = "SIGSTOP the API server"
	deedAPIGoOn  = "SIGCONT the API server"
	deedBusy     = "receiver answers 503"
	deedSilent   = "receiver hangs"
	deedWell     = "receiver is well"
)

// deed is one event of a storm, at a moment.
type deed struct {
	at    time.Duration
	what  string
	names []string
}

func (d deed) String() string {
	return strings.TrimSpace(fmt.Sprintf("%v: %s %s", d.at.Round(time.Millisecond), d.what, strings.Join(d.names, ", ")))
}

// stormPlan depends on a seed alone.
type stormPlan struct {
	deeds  []deed
	length time.Duration // when the last fault is over
}

// drawing is a plan that is being drawn.
type drawing struct {
	rng    *rand.Rand
	lease  lease
	pause  time.Duration // how long a process is stopped
	names  []string      // of the running replicas
	serial int           // of the next new name
	plan   stormPlan
	now    time.Duration
}

// drawStorm draws a storm for the replicas replica-0 to replica-2. One lane has the faults of the replicas, one
// after the other. Beside it, another lane has those of the API server and the receiver. Every sort of fault happens
// at least once, in an order that the seed decides. Then they go on until the time is over.
func drawStorm(seed uint64, atLeast, pause time.Duration, l lease) stormPlan {
	d := &drawing{rng: rand.New(rand.NewPCG(seed, 3)), lease: l, pause: pause, serial: 3}
	for i := range d.serial {
		d.names = append(d.names, replicaName(i))
	}
	d.lane(atLeast, d.killed, d.replaced, d.stopped, d.cutOff, d.scaled)
	d.lane(atLeast, d.restarted, d.paused, d.busy, d.silent)
	slices.SortStableFunc(d.plan.deeds, func(a, b deed) int { return int(a.at - b.at) })
	return d.plan
}

func replicaName(n int) string { return fmt.Sprintf("replica-%d", n) }

// lane draws faults that do not overlap, until the time is over.
func (d *drawing) lane(atLeast time.Duration, faults ...func()) {
	d.now = d.between(0.1, 0.6)
	for round := 0; round == 0 || d.now < atLeast; round++ {
		d.rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, fault := range faults {
			if round > 0 && d.now >= atLeast {
				return
			}
			fault()
			d.plan.length = max(d.plan.length, d.now)
			d.now += d.between(0.1, 0.6)
		}
	}
}

// between draws a time, in lease durations.
func (d *drawing) between(least, most float64) time.Duration {
	return time.Duration((least + (most-least)*d.rng.Float64()) * float64(d.lease.duration))
}

func (d *drawing) do(what string, names ...string) {
	d.plan.deeds = append(d.plan.deeds, deed{at: d.now, what: what, names: slices.Clone(names)})
}

func (d *drawing) wait(least, most float64) { d.now += d.between(least, most) }

func (d *drawing) victim() int { return d.rng.IntN(len(d.names)) }

func (d *drawing) newName() string {
	d.serial++
	return replicaName(d.serial - 1)
}

// killed is a container that crashes and comes back under its name, before or after the others have noticed.
func (d *drawing) killed() {
	v := d.names[d.victim()]
	d.do(deedKill, v)
	d.wait(0.05, 1.4)
	d.do(deedStart, v)
}

// replaced is a pod that is lost, and another that takes its place.
func (d *drawing) replaced() {
	v := d.victim()
	d.do(deedKill, d.names[v])
	d.wait(0.05, 1.4)
	d.names[v] = d.newName()
	d.do(deedStart, d.names[v])
}

func (d *drawing) stopped() {
	v := d.names[d.victim()]
	d.do(deedStop, v)
	d.now += d.pause
	d.do(deedContinue, v)
}

func (d *drawing) cutOff() {
	v := d.names[d.victim()]
	d.do([]string{deedCut, deedMute}[d.rng.IntN(2)], v)
	d.wait(1.1, 2)
	d.do(deedMend, v)
}

// scaled is 1, then 5, then 2, then 3 again.
func (d *drawing) scaled() {
	d.rng.Shuffle(len(d.names), func(i, j int) { d.names[i], d.names[j] = d.names[j], d.names[i] })
	for _, to := range []int{1, 5, 2, 3} {
		if have := len(d.names); have > to {
			d.do(deedLeave, d.names[to:]...)
			d.names = d.names[:to]
		} else {
			for len(d.names) < to {
				d.names = append(d.names, d.newName())
			}
			d.do(deedStart, d.names[have:]...)
		}
		if to != 3 {
			d.wait(0.5, 1)
		}
	}
}

// restarted is an API server that dies and comes back, which takes some seconds.
func (d *drawing) restarted() {
	d.do(deedAPIKill)
	d.wait(0.1, 1.2)
	d.do(deedAPIStart)
	d.now += 5 * time.Second
}

// paused is an API server that does not answer.
func (d *drawing) paused() {
	d.do(deedAPIPause)
	d.wait(0.1, 1.2)
	d.do(deedAPIGoOn)
}

func (d *drawing) busy() {
	d.do(deedBusy)
	d.wait(0.5, 1.5)
	d.do(deedWell)
}

func (d *drawing) silent() {
	d.do(deedSilent)
	d.wait(0.5, 1.5)
	d.do(deedWell)
}
