package delivery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

var start = time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)

func newGate(inFlight int) *delivery.Gate {
	return delivery.NewGate(delivery.GateOptions{MaxInFlight: inFlight, Rand: rand.New(rand.NewPCG(1, 2))})
}

func is(k wire.Kind) wire.Outcome { return wire.Outcome{Kind: k, Reason: "because"} }

// probe lets the gate's time come, sends one request that ends at once, and returns the time and the change.
func probe(t *testing.T, g *delivery.Gate, now time.Time, o wire.Outcome) (time.Time, delivery.Transition) {
	t.Helper()
	now = now.Add(g.Wait(now))
	if !g.Allow(now, 0) {
		t.Fatalf("no attempt is allowed when its time has come: %+v", g.State())
	}
	return now, g.Report(now, o)
}

func TestClosedGateAllowsUpToItsLimit(t *testing.T) {
	g := newGate(3)
	for inFlight, want := range []bool{true, true, true, false, false} {
		if got := g.Allow(start, inFlight); got != want {
			t.Errorf("with %d in flight: %v, want %v", inFlight, got, want)
		}
	}
	if g.Wait(start) != 0 {
		t.Errorf("a closed gate waits %v", g.Wait(start))
	}
	zero := delivery.NewGate(delivery.GateOptions{})
	if want := (delivery.State{Limit: 1, MaxBytes: 1 << 20}); zero.State() != want || !zero.Allow(start, 0) || zero.Allow(start, 1) {
		t.Errorf("without options: %+v, want %+v", zero.State(), want)
	}
}

// The backoff doubles within the second half of its span, up to a top that depends on what the matter is.
func TestBackoffGrowsToItsTop(t *testing.T) {
	tests := map[wire.Kind][]time.Duration{
		wire.Retry:         {1, 2, 4, 8, 15, 15, 15},
		wire.ServerError:   {1, 2, 4, 8, 15, 15},
		wire.Unknown:       {1, 2, 4, 8, 15, 15},
		wire.Unauthorized:  {5, 10, 20, 40, 60, 60},
		wire.WrongEndpoint: {5, 10, 20, 40, 60, 60},
	}
	for kind, spans := range tests {
		t.Run(kind.String(), func(t *testing.T) {
			for seed := range uint64(50) {
				g := delivery.NewGate(delivery.GateOptions{MaxInFlight: 8, Rand: rand.New(rand.NewPCG(seed, 0))})
				now := start
				for n, span := range spans {
					now, _ = probe(t, g, now, is(kind))
					top := span * time.Second
					if got := g.Wait(now); got < top/2 || got > top {
						t.Fatalf("seed %d: wait %v after failure %d, want %v to %v", seed, got, n+1, top/2, top)
					}
					if s := g.State(); !s.Open || s.Failures != n+1 || s.Kind != kind || s.Reason != "because" || !s.Since.Equal(start) || !s.Next.Equal(now.Add(g.Wait(now))) {
						t.Fatalf("state %+v", s)
					}
				}
			}
		})
	}
}

func TestMembersDoNotComeBackTogether(t *testing.T) {
	waits := map[time.Duration]bool{}
	for range 20 {
		g := delivery.NewGate(delivery.GateOptions{MaxInFlight: 1})
		_, _ = probe(t, g, start, is(wire.Retry))
		waits[g.Wait(start)] = true
	}
	if len(waits) < 15 {
		t.Errorf("20 members wait %d different times", len(waits))
	}
}

func TestRetryAfterIsKeptUpToFiveMinutes(t *testing.T) {
	for asked, want := range map[time.Duration][2]time.Duration{
		30 * time.Second:       {30 * time.Second, 33 * time.Second},
		time.Millisecond:       {500 * time.Millisecond, time.Second},
		24 * time.Hour:         {5 * time.Minute, 330 * time.Second},
		300 * time.Second:      {5 * time.Minute, 330 * time.Second},
		time.Duration(1 << 62): {5 * time.Minute, 330 * time.Second},
	} {
		for _, kind := range []wire.Kind{wire.Retry, wire.Partial} {
			g := newGate(8)
			o := is(kind)
			o.RetryAfter = asked
			if _, change := probe(t, g, start, o); change.Edge != delivery.Opened {
				t.Errorf("%s with a pause of %v: %v, want opened", kind, asked, change.Edge)
			}
			if got := g.Wait(start); got < want[0] || got > want[1] {
				t.Errorf("%s: wait %v when asked for %v, want %v to %v", kind, got, asked, want[0], want[1])
			}
		}
	}
}

func TestOpenGateLetsOneProbeThrough(t *testing.T) {
	g := newGate(8)
	now, _ := probe(t, g, start, is(wire.Retry))
	if g.Allow(now, 0) {
		t.Error("an attempt is allowed before its time")
	}
	now = now.Add(g.Wait(now))
	if g.Wait(now) != 0 || !g.Allow(now, 0) {
		t.Fatal("no attempt is allowed when its time has come")
	}
	if g.Allow(now, 1) {
		t.Error("a second probe is allowed beside the first")
	}
	if !g.Allow(now, 0) {
		t.Error("a probe that was never started keeps the gate shut for ever")
	}
}

// A pipeline asks before it knows whether it has anything to send, while requests from before still hang.
func TestProbeThatWasNotStartedIsHandedOutAgain(t *testing.T) {
	g := newGate(8)
	now, _ := probe(t, g, start, is(wire.Retry))
	now = now.Add(g.Wait(now))
	for range 3 {
		if !g.Allow(now, 5) {
			t.Fatal("a probe that was never started waits for requests from before")
		}
	}
	old := is(wire.Unknown)
	old.Took = time.Minute
	g.Report(now, old)
	if !g.Allow(now, 4) {
		t.Fatal("a probe that was never started waits for requests from before, one of which has ended")
	}
	g.Report(now, old)
	if g.Allow(now, 4) { // three from before and the probe
		t.Error("a second probe is allowed")
	}
}

// Requests that were in flight when the receiver fell ill hang for as long as their timeout. They must not keep the
// probe back, and what becomes of them is old news: neither a further failure nor a recovery.
func TestRequestsFromBeforeDoNotCount(t *testing.T) {
	g := newGate(8)
	now, _ := probe(t, g, start, is(wire.Retry))
	before := g.State()
	for _, kind := range []wire.Kind{wire.Unknown, wire.Retry, wire.ServerError, wire.Delivered, wire.Partial, wire.Refused} {
		old := is(kind)
		old.Took = 2 * time.Second
		if change := g.Report(now.Add(time.Millisecond), old); change != (delivery.Transition{}) {
			t.Errorf("%s of a request from before changes %+v", kind, change)
		}
	}
	if diff := cmp.Diff(before, g.State()); diff != "" {
		t.Errorf("state changed (-before +after):\n%s", diff)
	}
	now = now.Add(g.Wait(now))
	if !g.Allow(now, 7) {
		t.Fatal("requests from before keep the probe back")
	}
	if g.Allow(now, 8) {
		t.Fatal("a second probe is allowed")
	}
	old := is(wire.Unknown)
	old.Took = time.Minute
	if g.Report(now, old); g.Allow(now, 7) || g.State().Failures != 1 {
		t.Errorf("a request from before ended beside the probe: %+v", g.State())
	}
	old.RetryAfter = 20 * time.Second
	if g.Report(now, old); g.Wait(now) < 20*time.Second {
		t.Errorf("its Retry-After is not kept: %v", g.Wait(now))
	}
	if change := g.Report(now.Add(time.Second), is(wire.Delivered)); change.Edge != delivery.Closed {
		t.Errorf("the probe's success changes %+v, want closed", change)
	}
}

func TestEdgesAreToldOnce(t *testing.T) {
	g := newGate(8)
	now, got := probe(t, g, start, is(wire.Retry))
	if want := (delivery.Transition{Edge: delivery.Opened, Kind: wire.Retry, Reason: "because"}); got != want {
		t.Errorf("first failure: %+v, want %+v", got, want)
	}
	if now, got = probe(t, g, now, is(wire.Retry)); got != (delivery.Transition{}) {
		t.Errorf("second failure: %+v, want nothing", got)
	}
	now, got = probe(t, g, now, is(wire.WrongEndpoint))
	if want := (delivery.Transition{Edge: delivery.Changed, Kind: wire.WrongEndpoint, Reason: "because"}); got != want {
		t.Errorf("another kind: %+v, want %+v", got, want)
	}
	if wait := g.Wait(now); wait < 2500*time.Millisecond || wait > 5*time.Second {
		t.Errorf("another kind does not start its own backoff: %v", wait)
	}
	now, got = probe(t, g, now, is(wire.Delivered))
	if want := (delivery.Transition{Edge: delivery.Closed, Kind: wire.WrongEndpoint, Reason: "because", After: now.Sub(start)}); got != want {
		t.Errorf("success: %+v, want %+v", got, want)
	}
	if _, got = probe(t, g, now, is(wire.Delivered)); got != (delivery.Transition{}) {
		t.Errorf("second success: %+v, want nothing", got)
	}
	if s := g.State(); s.Open || !s.Since.Equal(now) || s.Reason != "" || !s.Next.IsZero() || s.Failures != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestAnswersThatProveTheReceiverUpCloseTheGate(t *testing.T) {
	for _, kind := range []wire.Kind{wire.Delivered, wire.Partial, wire.Refused, wire.Unprocessable, wire.TooLarge} {
		g := newGate(8)
		if _, change := probe(t, g, start, is(kind)); change.Edge != delivery.NoEdge {
			t.Errorf("%s opens the gate: %+v", kind, change)
		}
		now, _ := probe(t, g, start, is(wire.Unknown))
		if _, change := probe(t, g, now, is(kind)); change.Edge != delivery.Closed {
			t.Errorf("%s leaves the gate open: %+v", kind, change)
		}
	}
	g := newGate(8)
	now, _ := probe(t, g, start, is(wire.ServerError))
	if change := g.ReportBodyFault(now.Add(time.Minute)); change.Edge != delivery.Closed {
		t.Errorf("a body's own fault leaves the gate open: %+v", change)
	}
}

func TestOwnOutcomesSayNothing(t *testing.T) {
	fenced := wire.Outcome{Kind: wire.Fenced, Own: true}
	cancelled := wire.Outcome{Kind: wire.Unknown, Own: true}
	g := newGate(8)
	for _, o := range []wire.Outcome{fenced, cancelled} {
		if change := g.Report(start, o); change != (delivery.Transition{}) || g.State().Open {
			t.Errorf("%s of our own opens the gate", o.Kind)
		}
	}
	now, _ := probe(t, g, start, is(wire.Retry))
	now = now.Add(g.Wait(now))
	unencoded := wire.Outcome{Kind: wire.Refused, Own: true}
	for _, o := range []wire.Outcome{fenced, cancelled, unencoded} {
		if !g.Allow(now, 1) {
			t.Fatal("no probe is allowed")
		}
		if g.Report(now, o); !g.State().Open {
			t.Errorf("%s of our own closes the gate", o.Kind)
		}
		if s := g.State(); s.Failures != 1 {
			t.Errorf("%s of our own counts as a failure: %+v", o.Kind, s)
		}
	}
}

// A receiver whose embedder is down takes deletes and fails upserts. Each delete closes the gate; the backoff must
// grow all the same.
func TestRelapseGoesOnWithTheBackoff(t *testing.T) {
	g := newGate(8)
	now := start
	for range 6 {
		now, _ = probe(t, g, now, is(wire.ServerError))
		now, _ = probe(t, g, now, is(wire.Delivered))
	}
	now, _ = probe(t, g, now, is(wire.ServerError))
	if wait := g.Wait(now); wait < 7500*time.Millisecond {
		t.Errorf("wait %v after seven relapses, want 7.5s at least", wait)
	}
	now, _ = probe(t, g, now, is(wire.Delivered))
	now = now.Add(10 * time.Second)
	now, _ = probe(t, g, now, is(wire.ServerError))
	if wait := g.Wait(now); wait > time.Second {
		t.Errorf("wait %v for trouble after ten good seconds, want 1s at most", wait)
	}
}

// Whatever happens in whatever order: the limits stay within their bounds, an attempt is always allowed in the end, one
// success of a fresh request closes the gate, and a closed gate never waits.
func TestGateNeverLocksUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := wire.Kinds()
	for range 200 {
		g := delivery.NewGate(delivery.GateOptions{MaxInFlight: 1 + random.IntN(10), MaxBytes: 64 << 10, Rand: random})
		now := start
		for range 200 {
			now = now.Add(time.Duration(random.Int64N(int64(20 * time.Second))))
			switch random.IntN(6) {
			case 0:
				g.Allow(now, random.IntN(4))
			case 1:
				g.ReportBodyFault(now)
			case 2:
				g.SetMaxInFlight(random.IntN(10))
			default:
				g.Report(now, wire.Outcome{
					Kind: kinds[random.IntN(len(kinds))], Own: random.IntN(8) == 0, Bytes: random.IntN(1 << 20),
					RetryAfter: time.Duration(random.Int64N(int64(time.Hour))) * time.Duration(random.IntN(2)),
					Took:       time.Duration(random.Int64N(int64(2 * time.Minute))),
				})
			}
			s := g.State()
			if s.Limit < 1 || s.Limit > 10 || s.MaxBytes < 4<<10 || s.MaxBytes > 64<<10 || g.Wait(now) < 0 || g.Wait(now) > 330*time.Second {
				t.Fatalf("state %+v, wait %v", s, g.Wait(now))
			}
			if !s.Open && g.Wait(now) != 0 {
				t.Fatalf("a closed gate waits %v", g.Wait(now))
			}
		}
		now, _ = probe(t, g, now, is(wire.Delivered))
		if s := g.State(); s.Open || !g.Allow(now, 0) {
			t.Fatalf("a success leaves the gate open: %+v", s)
		}
	}
}

func TestEdgesHaveNames(t *testing.T) {
	got := map[delivery.Edge]string{}
	for _, e := range []delivery.Edge{delivery.NoEdge, delivery.Opened, delivery.Changed, delivery.Closed, 99} {
		got[e] = e.String()
	}
	want := map[delivery.Edge]string{delivery.NoEdge: "none", delivery.Opened: "opened", delivery.Changed: "changed", delivery.Closed: "closed", 99: "invalid"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
