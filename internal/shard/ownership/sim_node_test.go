package ownership_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// node is one process: a machine, a clock that is not quite right, a watch that lags, and requests.
type node struct {
	w         *world
	m         *ownership.Machine
	name, uid string
	process   string
	format    ring.Format
	born      time.Duration
	rate      float64 // of its clock
	skew      time.Duration
	ended     bool
	frozen    time.Duration // until when, 0 when it runs
	backlog   []func()      // events that reach it after the freeze
	cutOff    time.Duration // until when it cannot reach the API server
	deaf      time.Duration // until when its watch delivers nothing
	position  int           // in the log: how far its watch has delivered
	synced    bool
	delivery  bool // a delivery is scheduled
	wakeAt    time.Duration
	requests  []*request
	sendAt    time.Duration
	leaving   bool
	gone      func() // called when it has left
	taken     []ownership.Part
}

// place is an object, as far as claims tell objects apart.
type place struct {
	kind      ownership.Kind
	namespace string
	partition int
}

// request is one request to the receiver.
type request struct {
	place
	begun bool // written: the receiver may have it
}

var (
	plain = ownership.Kind{Target: "t", Version: "v1", Resource: "secrets"} // no member ever takes a part of it
	large = ownership.Kind{Target: "t", Version: "v1", Resource: "pods"}
	small = ownership.Kind{Target: "t", Version: "v1", Resource: "nodes"}
	// kinds and namespaces tell all objects apart that parts can tell apart.
	points = []place{{kind: plain}, {kind: large, namespace: "a"}, {kind: large, namespace: "m"}, {kind: small}}
	parts  = []ownership.Part{
		{Kind: large}, {Kind: large, Until: "g"}, {Kind: large, From: "g"}, {Kind: large, From: "m", Until: "m-"}, {Kind: small},
	}
)

func (w *world) start(name, uid string, f ring.Format) *node {
	n := &node{
		w: w, name: name, uid: uid, format: f, born: w.now,
		process: fmt.Sprintf("%s-%d", name, len(w.nodes)),
		// The lease duration is 1.5 times the renew deadline; clocks differ by less than that.
		rate: 0.85 + 0.3*w.rng.Float64(),
		skew: w.between(0, 1000*time.Hour),
	}
	var err error
	if n.m, err = ownership.New(ownership.Self{Member: name, UID: uid, Process: n.process}, f, ownership.DefaultTimings()); err != nil {
		panic(err)
	}
	n.m.Break(w.broken)
	n.m.ShareRings(sharedRing)
	w.nodes = append(w.nodes, n)
	w.logf("%s starts, uid %s, clock rate %.3f", n.process, uid, n.rate)
	n.relist()
	n.later(w.between(0, 10*time.Second), n.resync)
	return n
}

// resync takes parts, or gives them back, until the faults have ended.
func (n *node) resync() {
	switch {
	case len(n.taken) > 0:
		n.w.logf("%s gives %s back", n.process, ownership.FormatParts(n.taken))
		n.m.Give(n.taken, n.clock())
		n.taken = nil
	case !n.w.faultless && n.m.Joined():
		for range 1 + n.w.rng.IntN(2) {
			n.taken = append(n.taken, parts[n.w.rng.IntN(len(parts))])
		}
		n.w.logf("%s takes %s", n.process, ownership.FormatParts(n.taken))
		for _, p := range n.taken { // Each part by itself: more is begun and withdrawn than with one request for both.
			n.m.Take([]ownership.Part{p}, n.clock())
		}
	}
	if n.w.faultless && len(n.taken) == 0 {
		return
	}
	n.later(n.w.between(50*time.Millisecond, n.w.haste), n.resync)
}

// clock is the node's own monotonic time.
func (n *node) clock() time.Duration {
	return n.skew + time.Duration(float64(n.w.now-n.born)*n.rate)
}

// happen runs an event of the process: at once, or when the process runs again, or never when it has ended.
func (n *node) happen(do func()) {
	switch {
	case n.ended:
	case n.w.now < n.frozen:
		n.backlog = append(n.backlog, do)
	default:
		do()
		n.step()
	}
}

// later is happen after a delay.
func (n *node) later(d time.Duration, do func()) { n.w.after(d, func() { n.happen(do) }) }

// freeze stops the process for a while. When it goes on, the events of the meantime reach it in any order, as far
// as they come from different sources. A step of its own may well be first.
func (n *node) freeze(d time.Duration) {
	n.frozen = max(n.frozen, n.w.now+d)
	until := n.frozen
	n.w.after(d, func() {
		if n.ended || n.frozen != until {
			return
		}
		n.frozen = 0
		todo := n.backlog
		n.backlog = nil
		n.w.rng.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
		for _, do := range todo {
			n.w.after(n.w.between(0, 2*time.Millisecond), func() { n.happen(do) })
		}
		n.happen(func() {})
	})
}

func (n *node) kill() {
	n.ended = true
	n.w.killed++
	n.w.logf("%s is killed", n.process)
}

// relist lists all Leases after a while; they may have changed by the time the list arrives.
func (n *node) relist() {
	n.synced = false
	n.w.after(n.latency(), func() {
		if n.ended {
			return
		}
		if n.w.now < n.cutOff || n.w.now < n.deaf {
			n.relist()
			return
		}
		position := len(n.w.api.log)
		if n.w.chance(3) { // A cache may lag, but never shows an older state than we have seen.
			position = max(n.position, position-n.w.rng.IntN(8))
		}
		leases, version := n.w.api.past(position)
		n.later(n.latency(), func() {
			n.synced, n.position = true, position
			n.m.Synced(leases, version, n.clock())
			n.deliver()
		})
	})
}

// deliver schedules the delivery of the next event. Each node has its own delays, but its events come in order.
func (n *node) deliver() {
	if n.delivery || n.ended {
		return
	}
	n.delivery = true
	d := n.w.between(0, 20*time.Millisecond)
	if !n.w.faultless && n.w.chance(n.w.lag) {
		d = n.w.between(0, 3*time.Second)
	}
	n.w.after(d, func() {
		if n.ended {
			return
		}
		n.happen(func() {
			n.delivery = false
			if !n.synced {
				return
			}
			if n.w.now >= n.cutOff && n.w.now >= n.deaf {
				for burst := 1 + n.w.rng.IntN(4); burst > 0 && n.position < len(n.w.api.log); burst-- {
					e := n.w.api.log[n.position]
					n.position++
					if e.deleted {
						n.m.Deleted(e.lease.Member, e.version, n.clock())
					} else {
						n.m.Observe(e.lease, n.clock())
					}
				}
			}
			if n.position < len(n.w.api.log) {
				n.deliver()
			}
		})
	})
}

func (n *node) latency() time.Duration {
	switch {
	case n.w.faultless:
		return n.w.between(time.Millisecond, 20*time.Millisecond)
	case n.w.chance(50):
		return n.w.between(0, 12*time.Second) // The write may arrive long after its sender has given it up.
	default:
		return n.w.between(time.Millisecond, 50*time.Millisecond)
	}
}

// call sends a request to the API server. It calls answer with whether the request was applied. It calls lost
// when the request or the answer was lost, or came too late.
func (n *node) call(apply func() (uint64, bool), answer func(version uint64, ok bool), lost func()) {
	const timeout = 3300 * time.Millisecond
	answered := false
	n.later(timeout, func() {
		if !answered {
			answered = true
			lost()
		}
	})
	if n.w.now < n.cutOff || !n.w.faultless && n.w.chance(100) {
		return
	}
	n.w.after(n.latency(), func() {
		version, ok := apply()
		n.w.notify()
		if n.w.now < n.cutOff || !n.w.faultless && n.w.chance(100) {
			return
		}
		n.later(n.latency(), func() {
			if !answered {
				answered = true
				answer(version, ok)
			}
		})
	})
}

// notify lets all watches deliver the new events.
func (w *world) notify() {
	for _, n := range w.nodes {
		if !n.ended && n.synced {
			n.deliver()
		}
	}
}

// step does what the machine asks for.
func (n *node) step() {
	if n.ended || n.w.now < n.frozen {
		return
	}
	now := n.clock()
	n.m.Tick(now)
	if n.m.Fenced(now) {
		n.requests = nil // all requests are cancelled
	}
	n.drain()
	if wr, ok := n.m.BeginWrite(now); ok {
		n.write(wr)
	}
	for _, r := range n.m.Retirements(now) {
		n.w.logf("%s wants to %s %s at %d", n.process, r.Kind, r.Member, r.Version)
		n.call(func() (uint64, bool) {
			if r.Kind == ownership.Collect {
				n.w.api.remove(r.Member, r.Version)
				return 0, true
			}
			v, ok := n.w.api.put(r.Lease, r.Version, r.Kind == ownership.MarkDead)
			if ok {
				n.w.logf("%s did %s %s, now %d", n.process, r.Kind, r.Member, v)
			}
			return v, ok
		}, func(uint64, bool) {}, func() {})
	}
	if n.m.Left() && n.leaving {
		n.ended = true
		n.w.logf("%s has left", n.process)
		n.gone()
		return
	}
	n.send()
	wake := n.born + time.Duration(float64(n.m.Wake(n.clock())-n.skew)/n.rate) + time.Microsecond
	if wake != n.wakeAt {
		n.wakeAt = wake
		n.w.after(max(wake-n.w.now, 0), func() {
			if n.wakeAt == wake {
				n.happen(func() { n.wakeAt = -1 })
			}
		})
	}
}

func (n *node) drain() {
	d, ok := n.m.Drain()
	if !ok {
		return
	}
	for _, r := range n.requests {
		if d.Lost.Has(r.kind, r.namespace, r.partition) {
			return
		}
	}
	n.m.Drained(d.Token, n.clock())
}

func (n *node) write(wr ownership.Write) {
	n.call(func() (uint64, bool) {
		v, ok := n.w.api.put(wr.Lease, wr.Base, false)
		if ok {
			n.w.logf("%s wrote %d (on %d): %s view=%s takes=%s yields=%s vouches=%v sole=%v seen=%d", wr.Lease.Incarnation, v, wr.Base,
				wr.Lease.State, strings.Join(wr.Lease.View, "+"), ownership.FormatParts(wr.Lease.Takes), ownership.FormatParts(wr.Lease.Yields), wr.Lease.Vouches, wr.Lease.Sole, wr.Lease.Seen)
		}
		return v, ok
	}, func(version uint64, ok bool) {
		if ok {
			n.m.EndWrite(ownership.Succeeded, version, n.clock())
			return
		}
		n.m.EndWrite(ownership.Conflicted, 0, n.clock())
		n.reread()
	}, func() {
		n.m.EndWrite(ownership.Unknown, 0, n.clock())
		n.reread()
	})
}

func (n *node) reread() {
	var got *ownership.Lease
	n.call(func() (uint64, bool) {
		if l, ok := n.w.api.leases[n.name]; ok {
			got = &l
		}
		return 0, true
	}, func(uint64, bool) { n.m.Reread(got, n.clock()) }, func() {})
}

// send begins requests as the pipeline does: mark the request as in flight, ask MaySend, and check the fence
// right before the write. In between the process may be stopped for any time.
func (n *node) send() {
	if n.w.now < n.sendAt || len(n.requests) >= 3*n.w.eager {
		return
	}
	all := places(n.m.Owned())
	if len(all) == 0 {
		return
	}
	n.sendAt = n.w.now + n.w.between(5*time.Millisecond, 800*time.Millisecond)
	gained := places(n.m.TakeGains().All) // An overlap is most likely in a gain.
	n.w.rng.Shuffle(len(gained), func(i, j int) { gained[i], gained[j] = gained[j], gained[i] })
	gained = gained[:min(len(gained), n.w.eager)]
	for _, at := range append(gained, all[n.w.rng.IntN(len(all))]) {
		if n.busy(at) {
			continue
		}
		r := &request{place: at}
		n.requests = append(n.requests, r)
		if !n.m.MaySend(at.kind, at.namespace, at.partition, n.clock()) {
			n.finish(r)
			continue
		}
		n.later(n.w.between(0, 3*time.Millisecond), func() { n.begin(r) })
	}
}

// places returns all places in an area.
func places(a ownership.Area) []place {
	var all []place
	for _, at := range points {
		for at.partition = range 64 {
			if a.Has(at.kind, at.namespace, at.partition) {
				all = append(all, at)
			}
		}
	}
	return all
}

func (n *node) busy(at place) bool {
	return slices.ContainsFunc(n.requests, func(r *request) bool { return r.place == at })
}

// begin is the moment at which a request is written.
func (n *node) begin(r *request) {
	if n.m.Fenced(n.clock()) || !slices.Contains(n.requests, r) {
		n.finish(r)
		return
	}
	r.begun = true
	n.w.begun++
	for _, o := range n.w.nodes {
		if o == n || o.ended || o.m.Fenced(o.clock()) { // The request of a fenced or dead node has an unknown outcome.
			continue
		}
		if slices.ContainsFunc(o.requests, func(q *request) bool { return q.begun && q.place == r.place }) {
			n.w.fail("I2: %s begins a request for %v while one of %s is in flight", n.process, r.place, o.process)
		}
	}
	d := n.w.between(5*time.Millisecond, 400*time.Millisecond)
	if !n.w.faultless && n.w.chance(40) {
		d = n.w.between(time.Second, 40*time.Second)
	}
	n.later(d, func() { n.finish(r) })
}

func (n *node) finish(r *request) {
	n.requests = slices.DeleteFunc(n.requests, func(q *request) bool { return q == r })
}

// leave ends the process in good order.
func (n *node) leave(then func()) {
	if n.ended || n.leaving {
		return
	}
	n.w.logf("%s is asked to leave", n.process)
	n.leaving, n.gone = true, then
	n.happen(func() { n.m.Leave(n.clock()) })
	n.w.after(n.w.between(25*time.Second, 40*time.Second), func() { // the kubelet's patience
		if !n.ended {
			n.kill()
			n.gone()
		}
	})
}
