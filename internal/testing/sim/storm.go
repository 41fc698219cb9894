package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// deed makes one random event.
func (w *World) deed() {
	w.mu.Lock()
	var here []*member
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		if m := w.members[name]; m.live && m.joined && !m.away && !m.blind && m.listed {
			here = append(here, m)
		}
	}
	solid := func(but *member) bool { // another member has seen everything for longer than a checkpoint takes
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.ContainsFunc(here, func(m *member) bool {
			return m != but && !m.lags && !m.relist && w.whole(m) && time.Since(m.solid) > 12*time.Second
		})
	}
	whole := func(m *member) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.whole(m)
	}
	var some *member
	if len(here) > 0 {
		some = here[w.rng.IntN(len(here))]
	}
	apiAway := w.away
	w.mu.Unlock()
	switch n := w.rng.IntN(20); {
	case n < 3 && len(here) < 4:
		name := fmt.Sprint("m", w.rng.IntN(5))
		w.mu.Lock()
		m := w.members[name]
		w.mu.Unlock()
		if m == nil || m.ctx.Err() != nil {
			w.startSome(name)
		}
	case n < 5 && some != nil && solid(some):
		w.kill(some)
	case n < 7 && some != nil && !apiAway && (whole(some) || solid(some)):
		w.say("%s leaves", some.name)
		w.leave(some)
	case n < 9 && some != nil && !some.lags:
		relist := w.rng.IntN(2) == 0
		w.say("%s lags, and begins anew: %v", some.name, relist)
		w.mu.Lock()
		some.lags = true
		w.mu.Unlock()
		for_ := time.Duration(w.rng.IntN(3000)) * time.Millisecond
		time.AfterFunc(for_, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			some.lags, some.relist = false, some.relist || relist
		})
	case n < 10 && some != nil && solid(some):
		w.fence(some)
		time.AfterFunc(time.Duration(3000+w.rng.IntN(3000))*time.Millisecond, func() { w.unfence(some) })
	case n < 12 && !apiAway:
		w.goAway()
		time.AfterFunc(time.Duration(500+w.rng.IntN(3000))*time.Millisecond, w.comeBack)
	case n == 16 && !apiAway && solid(nil):
		w.turn()
	case n >= 17 && some != nil:
		w.resyncSome(some)
	default:
		mode := []string{"", "", "busy", "hangs", "slow"}[w.rng.IntN(5)]
		w.behave(mode)
	}
}

// fences has some member fenced now and then, for less than its Lease lasts, until a time. The moments are drawn apart
// from the other events, so that a seed has the same events with and without them.
func (w *World) fences(end time.Time, rng *rand.Rand) {
	for time.Now().Before(end) {
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		w.mu.Lock()
		var some *member
		for _, name := range slices.Sorted(maps.Keys(w.members)) {
			if m := w.members[name]; m.live && m.joined && !m.away && !m.stale && !m.blind && rng.IntN(2) == 0 {
				some = m
			}
		}
		w.mu.Unlock()
		if some != nil {
			w.pause(some, time.Duration(rng.IntN(2000))*time.Millisecond, time.Duration(rng.IntN(300))*time.Millisecond)
		}
	}
}

// resyncSome asks a member to send again: everything, a type, one namespace of a type, or what it owns.
func (w *World) resyncSome(m *member) {
	what := []string{"all", "own", "pods", ""}[w.rng.IntN(4)]
	if what == "" {
		what = []string{"a", "b"}[w.rng.IntN(2)]
	}
	w.late.Go(func() { _, _ = w.resync(m, what) }) // It is refused while the API server is away.
}

// startSome starts a process that takes some time to read, and names few exceptions in its checkpoints.
func (w *World) startSome(name string) {
	reads := time.Duration(w.rng.IntN(2)*w.rng.IntN(6000)) * time.Millisecond
	w.start(name, reads, Limits{Exceptions: w.rng.IntN(8)})
}

// Storm is a minute of trouble for a fleet. Members are killed, fenced, told to leave and started. Their watches
// lag, begin anew or lose events. The API server forgets its history. The receiver refuses, hangs, or applies a
// request up to 20 s after its client has gone. Meanwhile objects come, change and go, a type is removed and comes
// back, and resyncs overlap. Then there is peace, and within three minutes the receiver has all objects of the
// cluster, and all resyncs have ended. A member that knows of a difference, and has listed the type often in vain, may
// pause for longer before.
// Storm is called in a bubble of testing/synctest.
func Storm(t *testing.T, seed uint64, newPeer func(PeerOptions) Peer) { storm(t, seed, newPeer, false) }

// FencedStorm is a [Storm] in which members are also fenced every few seconds, for less than their Leases last, and
// lose nothing by that.
func FencedStorm(t *testing.T, seed uint64, newPeer func(PeerOptions) Peer) {
	storm(t, seed, newPeer, true)
}

func storm(t *testing.T, seed uint64, newPeer func(PeerOptions) Peer, fences bool) {
	w := newWorld(t, seed, newPeer)
	w.lossOf = fewLosses
	end := w.began.Add(time.Minute)
	rng := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	w.live(func() {
		if time.Now().Before(end) {
			w.change(rng)
		} else {
			w.version++ // Somebody writes at any time: a list is never of the very version of a deletion that it shows.
		}
	})
	w.startSome("m0")
	w.startSome("m1")
	time.Sleep(3 * time.Second)
	if fences {
		w.running.Go(func() { w.fences(end, rand.New(rand.NewPCG(seed, 5))) })
	}
	for time.Now().Before(end) {
		w.deed()
		time.Sleep(time.Duration(100+w.rng.IntN(1500)) * time.Millisecond)
	}
	time.Sleep(8 * time.Second) // events that have begun end by themselves
	w.mu.Lock()
	w.mode = ""
	lives := slices.ContainsFunc(slices.Collect(maps.Values(w.members)), func(m *member) bool { return m.live && m.joined })
	w.mu.Unlock()
	if !lives {
		w.startSome("last")
	}
	w.lastLosses(w.rng)
	w.say("all is well, after %d lost events", w.lost)
	if amiss := w.await(w.compare); amiss != "" {
		t.Errorf("after three minutes of peace: %s\n%s", amiss, w.tell(amiss))
	}
	if amiss := w.await(w.openResyncs); amiss != "" {
		t.Errorf("after three more minutes: %s\n%s", amiss, w.tell(amiss))
	}
	w.end()
}
