package delivery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

var start = time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)

func newBreaker(inFlight int) *delivery.Breaker {
	return delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: inFlight, Rand: rand.New(rand.NewPCG(1, 2))})
}

func is(k wire.Kind) wire.Outcome { return wire.Outcome{Kind: k, Reason: "because"} }

// send waits for a lane's turn, sends one request that ends at once, and returns the time and the change.
func send(t *testing.T, b *delivery.Breaker, lane delivery.Lane, now time.Time, o wire.Outcome) (time.Time, delivery.Transition) {
	t.Helper()
	now = now.Add(b.Wait(now, lane))
	if !b.Allow(now, lane) {
		t.Fatalf("no attempt is allowed when its time has come: %+v", b.State())
	}
	return now, b.Report(now, b.Begin(lane), o)
}

// breakOpen has requests fail until the breaker opens, and returns their number.
func breakOpen(t *testing.T, b *delivery.Breaker, lane delivery.Lane, now time.Time, o wire.Outcome) int {
	t.Helper()
	for n := 1; ; n++ {
		if _, change := send(t, b, lane, now, o); change.Edge == delivery.Opened {
			return n
		}
		if n > 100 {
			t.Fatalf("%s never opens the breaker", o.Kind)
		}
	}
}

func TestClosedBreakerAllowsUpToItsLimit(t *testing.T) {
	b := newBreaker(3)
	for n, want := range []bool{true, true, true, false} {
		if got := b.Allow(start, delivery.Upserts); got != want {
			t.Fatalf("with %d in flight: %v, want %v", n, got, want)
		}
		if want {
			b.Begin(delivery.Lane(n % 2))
		}
	}
	if b.Wait(start, delivery.Upserts) != 0 {
		t.Errorf("a closed breaker waits %v", b.Wait(start, delivery.Upserts))
	}
	zero := delivery.NewBreaker(delivery.BreakerOptions{})
	if want := (delivery.State{Limit: 1, MaxBytes: 1 << 20}); zero.State() != want || !zero.Allow(start, delivery.Deletes) {
		t.Errorf("without options: %+v, want %+v", zero.State(), want)
	}
}

// TestBreakerOpensWhenNothingPasses: failures that may be chance, or one body's fault, open it in a row only. A
// receiver that says that it takes no request opens it at once.
func TestBreakerOpensWhenNothingPasses(t *testing.T) {
	answered := func(k wire.Kind, status int) wire.Outcome { o := is(k); o.Status = status; return o }
	slow := is(wire.Unknown)
	slow.Took = 31 * time.Second
	for name, tt := range map[string]struct {
		o    wire.Outcome
		want int
	}{
		"500":                {answered(wire.ServerError, 500), 5},
		"503":                {answered(wire.Unknown, 503), 5},
		"reset":              {is(wire.Unknown), 5},
		"refused connection": {is(wire.Retry), 5},
		"hangs":              {slow, 1},
		"429":                {answered(wire.Retry, 429), 1},
		"401":                {answered(wire.Unauthorized, 401), 1},
		"no token":           {is(wire.Unauthorized), 1},
		"404":                {answered(wire.WrongEndpoint, 404), 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := breakOpen(t, newBreaker(2), delivery.Upserts, start, tt.o); got != tt.want {
				t.Errorf("opens after %d, want %d", got, tt.want)
			}
		})
	}
	b := newBreaker(2)
	for range 50 {
		for range 4 {
			_, _ = send(t, b, delivery.Upserts, start, is(wire.ServerError))
		}
		_, _ = send(t, b, delivery.Upserts, start, is(wire.Delivered))
	}
	if b.State().Open || b.State().Limit != 2 {
		t.Errorf("one in five passes, and the breaker is %+v", b.State())
	}
}

// The backoff doubles within the second half of its span, up to a top that depends on the kind of trouble.
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
				b := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 8, Rand: rand.New(rand.NewPCG(seed, 0))})
				breakOpen(t, b, delivery.Upserts, start, is(kind))
				now := start
				for n, span := range spans {
					if n > 0 {
						now, _ = send(t, b, delivery.Upserts, now, is(kind))
					}
					top := span * time.Second
					wait := b.Wait(now, delivery.Upserts)
					if wait < top/2 || wait > top {
						t.Fatalf("seed %d: wait %v after failure %d, want %v to %v", seed, wait, n+1, top/2, top)
					}
					if s := b.State(); !s.Open || s.Failures != n+1 || s.Kind != kind || s.Reason != "because" || !s.Since.Equal(start) || !s.Next.Equal(now.Add(wait)) {
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
		b := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1})
		breakOpen(t, b, delivery.Upserts, start, is(wire.Retry))
		waits[b.Wait(start, delivery.Upserts)] = true
	}
	if len(waits) < 15 {
		t.Errorf("20 members wait %d different times", len(waits))
	}
}

// A pause that the receiver asks for holds in both lanes, whatever its answer was, and whatever passes meanwhile.
func TestRetryAfterIsKeptUpToFiveMinutes(t *testing.T) {
	for asked, want := range map[time.Duration][2]time.Duration{
		30 * time.Second:       {30 * time.Second, 33 * time.Second},
		time.Millisecond:       {500 * time.Millisecond, time.Second},
		24 * time.Hour:         {5 * time.Minute, 330 * time.Second},
		time.Duration(1 << 62): {5 * time.Minute, 330 * time.Second},
	} {
		for _, kind := range []wire.Kind{wire.Retry, wire.Partial, wire.ServerError, wire.Unknown} {
			b := newBreaker(8)
			before := b.Begin(delivery.Upserts)
			o := is(kind)
			o.RetryAfter = asked
			if _, change := send(t, b, delivery.Upserts, start, o); change.Edge != delivery.Opened {
				t.Errorf("%s with a pause of %v: %v, want opened", kind, asked, change.Edge)
			}
			b.Report(start, before, is(wire.Delivered))
			for _, lane := range []delivery.Lane{delivery.Upserts, delivery.Deletes} {
				if got := b.Wait(start, lane); got < want[0] || got > want[1] || b.Allow(start, lane) {
					t.Errorf("%s: wait %v when asked for %v, want %v to %v", kind, got, asked, want[0], want[1])
				}
			}
		}
	}
}

func TestOpenBreakerLetsOneProbeThrough(t *testing.T) {
	b := newBreaker(8)
	breakOpen(t, b, delivery.Upserts, start, is(wire.Retry))
	if b.Allow(start, delivery.Upserts) {
		t.Error("an attempt is allowed before its time")
	}
	now := start.Add(b.Wait(start, delivery.Upserts))
	for range 3 { // asking costs nothing
		if !b.Allow(now, delivery.Upserts) {
			t.Fatal("no attempt is allowed when its time has come")
		}
	}
	a := b.Begin(delivery.Deletes)
	if !a.Probe() || b.Allow(now, delivery.Upserts) || b.Allow(now, delivery.Deletes) {
		t.Error("a second probe is allowed beside the first")
	}
	if change := b.Report(now, a, is(wire.Delivered)); change.Edge != delivery.Closed || b.State().Open {
		t.Errorf("the probe's success changes %+v", change)
	}
}

// A receiver whose embedder is down takes every deletion. That says nothing about upserts, whose backoff goes on
// growing, and deletions are not delayed.
func TestLanesHaveCircuitsOfTheirOwn(t *testing.T) {
	b := newBreaker(2)
	breakOpen(t, b, delivery.Upserts, start, is(wire.ServerError))
	now := start
	for range 4 {
		if !b.Allow(now, delivery.Deletes) {
			t.Fatal("a deletion waits for the embedder")
		}
		_, _ = send(t, b, delivery.Deletes, now, is(wire.Delivered))
		if !b.State().Open || b.Closed(delivery.Upserts) || !b.Closed(delivery.Deletes) {
			t.Fatalf("a deletion that passes closes the lane of upserts: %+v", b.State())
		}
		now, _ = send(t, b, delivery.Upserts, now, is(wire.ServerError))
	}
	if wait := b.Wait(now, delivery.Upserts); wait < 7500*time.Millisecond {
		t.Errorf("wait %v after five failures, want 7.5s at least", wait)
	}
	hangs := b.Begin(delivery.Upserts)
	if !b.Allow(now, delivery.Deletes) {
		t.Error("a probe that hangs takes the place of deletions")
	}
	b.Begin(delivery.Deletes)
	if b.Allow(now, delivery.Deletes) {
		t.Error("more are in flight than may be")
	}
	if change := b.Report(now, hangs, is(wire.Delivered)); change.Edge != delivery.Closed {
		t.Errorf("an upsert that passes changes %+v, want closed", change)
	}
}

// Requests that were in flight when the receiver fell ill hang for as long as their timeout. They must not keep
// the probe back, and their outcomes do not count: neither as a further failure nor as a recovery.
func TestRequestsFromBeforeDoNotCount(t *testing.T) {
	b := newBreaker(8)
	var before []delivery.Attempt
	for range 7 {
		before = append(before, b.Begin(delivery.Upserts))
	}
	hangs := is(wire.Unknown)
	hangs.Took = time.Minute
	breakOpen(t, b, delivery.Upserts, start, hangs)
	state := b.State()
	for i, kind := range []wire.Kind{wire.Unknown, wire.ServerError, wire.Delivered, wire.Partial, wire.Refused} {
		if change := b.Report(start, before[i], is(kind)); change != (delivery.Transition{}) {
			t.Errorf("%s of a request from before changes %+v", kind, change)
		}
	}
	if diff := cmp.Diff(state, b.State()); diff != "" {
		t.Errorf("state changed (-before +after):\n%s", diff)
	}
	now := start.Add(b.Wait(start, delivery.Upserts))
	if !b.Allow(now, delivery.Upserts) {
		t.Fatal("requests from before keep the probe back")
	}
	a := b.Begin(delivery.Upserts)
	if b.Allow(now, delivery.Upserts) {
		t.Fatal("a second probe is allowed")
	}
	old := is(wire.Unknown)
	old.RetryAfter = 20 * time.Second
	if b.Report(now, before[5], old); b.Wait(now, delivery.Upserts) < 20*time.Second {
		t.Errorf("its Retry-After is not kept: %v", b.Wait(now, delivery.Upserts))
	}
	b.Report(now.Add(time.Second), a, is(wire.Delivered))
	if b.Wait(now, delivery.Upserts) < 20*time.Second {
		t.Error("a probe that passes takes away a pause that was asked for since")
	}
}

func TestEdgesAreToldOnce(t *testing.T) {
	b := newBreaker(8)
	refused := is(wire.Retry)
	refused.Status = 429
	now, got := send(t, b, delivery.Upserts, start, refused)
	if want := (delivery.Transition{Edge: delivery.Opened, Kind: wire.Retry, Reason: "because"}); got != want {
		t.Errorf("first failure: %+v, want %+v", got, want)
	}
	if now, got = send(t, b, delivery.Upserts, now, refused); got != (delivery.Transition{}) {
		t.Errorf("second failure: %+v, want nothing", got)
	}
	now, got = send(t, b, delivery.Deletes, now, is(wire.WrongEndpoint))
	if want := (delivery.Transition{Edge: delivery.Changed, Kind: wire.WrongEndpoint, Reason: "because"}); got != want {
		t.Errorf("another kind: %+v, want %+v", got, want)
	}
	if wait := b.Wait(now, delivery.Upserts); wait < 2500*time.Millisecond || wait > 5*time.Second {
		t.Errorf("another kind does not start its own backoff: %v", wait)
	}
	now, got = send(t, b, delivery.Upserts, now, is(wire.Delivered))
	if want := (delivery.Transition{Edge: delivery.Closed, Kind: wire.WrongEndpoint, Reason: "because", After: now.Sub(start)}); got != want {
		t.Errorf("success: %+v, want %+v", got, want)
	}
	if _, got = send(t, b, delivery.Upserts, now, is(wire.Delivered)); got != (delivery.Transition{}) {
		t.Errorf("second success: %+v, want nothing", got)
	}
	if s := b.State(); s.Open || !s.Since.Equal(now) || s.Reason != "" || !s.Next.IsZero() || s.Failures != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestAnswersThatProveTheReceiverUpCloseTheBreaker(t *testing.T) {
	for _, kind := range []wire.Kind{wire.Delivered, wire.Partial, wire.Miscounted, wire.Refused, wire.Unprocessable, wire.TooLarge} {
		b := newBreaker(8)
		if _, change := send(t, b, delivery.Upserts, start, is(kind)); change.Edge != delivery.NoEdge {
			t.Errorf("%s opens the breaker: %+v", kind, change)
		}
		breakOpen(t, b, delivery.Upserts, start, is(wire.Unknown))
		if _, change := send(t, b, delivery.Upserts, start, is(kind)); change.Edge != delivery.Closed {
			t.Errorf("%s leaves the breaker open: %+v", kind, change)
		}
	}
}

func TestOwnOutcomesSayNothing(t *testing.T) {
	fenced := wire.Outcome{Kind: wire.Fenced, Own: true}
	cancelled := wire.Outcome{Kind: wire.Unknown, Own: true}
	unencoded := wire.Outcome{Kind: wire.Refused, Own: true}
	b := newBreaker(8)
	now := start
	var change delivery.Transition
	for range 20 {
		for _, o := range []wire.Outcome{fenced, cancelled} {
			if now, change = send(t, b, delivery.Upserts, now, o); change != (delivery.Transition{}) || b.State().Open {
				t.Errorf("%s of our own opens the breaker", o.Kind)
			}
		}
	}
	if _, _ = send(t, b, delivery.Upserts, now, fenced); b.Allow(now, delivery.Upserts) {
		t.Error("a member that is fenced tries again at once")
	}
	now = now.Add(b.Wait(now, delivery.Upserts))
	breakOpen(t, b, delivery.Upserts, now, is(wire.ServerError))
	for _, o := range []wire.Outcome{fenced, cancelled, unencoded} {
		if now, _ = send(t, b, delivery.Upserts, now, o); !b.State().Open || b.State().Failures != 1 {
			t.Errorf("%s of our own counts: %+v", o.Kind, b.State())
		}
	}
}

// A receiver that asks for a pause, lets one request through and asks again is not tried every second.
func TestRelapseGoesOnWithTheBackoff(t *testing.T) {
	b := newBreaker(8)
	busy := is(wire.Retry)
	busy.Status = 429
	now := start
	for range 6 {
		now, _ = send(t, b, delivery.Upserts, now, busy)
		now, _ = send(t, b, delivery.Upserts, now, is(wire.Delivered))
	}
	now, _ = send(t, b, delivery.Upserts, now, busy)
	if wait := b.Wait(now, delivery.Upserts); wait < 7500*time.Millisecond {
		t.Errorf("wait %v after seven relapses, want 7.5s at least", wait)
	}
	now, _ = send(t, b, delivery.Upserts, now, is(wire.Delivered))
	now, _ = send(t, b, delivery.Upserts, now.Add(10*time.Second), busy)
	if wait := b.Wait(now, delivery.Upserts); wait > time.Second {
		t.Errorf("wait %v for trouble after ten good seconds, want 1s at most", wait)
	}
}

func TestRetryTriesAtOnce(t *testing.T) {
	b := newBreaker(8)
	breakOpen(t, b, delivery.Upserts, start, is(wire.Unauthorized))
	if b.Retry(start); !b.Allow(start, delivery.Upserts) {
		t.Error("a new credential is not tried at once")
	}
}

// For any events in any order, the limits stay within their bounds, and an attempt is always allowed in the end.
// One success of a fresh request closes the breaker, and a closed one never waits.
func TestBreakerNeverLocksUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := wire.Kinds()
	for range 200 {
		b := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1 + random.IntN(10), MaxBytes: 64 << 10, Rand: random})
		now := start
		var under []delivery.Attempt
		report := func(o wire.Outcome) {
			i := random.IntN(len(under))
			b.Report(now, under[i], o)
			under = append(under[:i], under[i+1:]...)
		}
		for range 200 {
			now = now.Add(time.Duration(random.Int64N(int64(20 * time.Second))))
			lane := delivery.Lane(random.IntN(2))
			switch {
			case random.IntN(6) == 0:
				b.SetMaxInFlight(random.IntN(10))
			case random.IntN(2) == 0 && b.Allow(now, lane):
				under = append(under, b.Begin(lane))
			case len(under) > 0:
				report(wire.Outcome{
					Kind: kinds[random.IntN(len(kinds))], Own: random.IntN(8) == 0, Bytes: random.IntN(1 << 20), Status: 429 * random.IntN(2),
					RetryAfter: time.Duration(random.Int64N(int64(time.Hour))) * time.Duration(random.IntN(2)),
					Took:       time.Duration(random.Int64N(int64(2 * time.Minute))),
				})
			}
			s, wait := b.State(), b.Wait(now, lane)
			if s.Limit < 1 || s.Limit > 10 || s.MaxBytes < 4<<10 || s.MaxBytes > 64<<10 || wait < 0 || wait > 330*time.Second {
				t.Fatalf("state %+v, wait %v", s, wait)
			}
			if !s.Open && wait > 100*time.Millisecond { // the pause of the fence
				t.Fatalf("a closed breaker waits %v", wait)
			}
		}
		for len(under) > 0 {
			report(is(wire.Unknown))
		}
		for _, lane := range []delivery.Lane{delivery.Upserts, delivery.Deletes} {
			now, _ = send(t, b, lane, now, is(wire.Delivered))
		}
		if s := b.State(); s.Open || !b.Allow(now, delivery.Upserts) {
			t.Fatalf("a success in each lane leaves the breaker open: %+v", s)
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
