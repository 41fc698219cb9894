package delivery_test

import (
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

func TestLimitHalvesOnTroubleAndGrowsPerRound(t *testing.T) {
	g := newGate(8)
	now := start
	for _, want := range []int{4, 2, 1, 1} {
		now, _ = probe(t, g, now, is(wire.Retry))
		if got := g.State().Limit; got != want {
			t.Fatalf("limit %d, want %d", got, want)
		}
	}
	successes := 0
	for want := 2; want <= 8; want++ {
		for range want - 1 { // a round is as many as the limit
			if got := g.State().Limit; got != want-1 {
				t.Fatalf("limit %d after %d successes, want %d", got, successes, want-1)
			}
			now, _ = probe(t, g, now, is(wire.Delivered))
			successes++
		}
	}
	for range 20 {
		now, _ = probe(t, g, now, is(wire.Delivered))
	}
	if got := g.State().Limit; got != 8 {
		t.Errorf("limit %d, want 8 and no more", got)
	}
	for _, kind := range []wire.Kind{wire.Unauthorized, wire.WrongEndpoint} {
		now, _ = probe(t, g, now, is(kind))
	}
	if got := g.State().Limit; got != 8 {
		t.Errorf("limit %d after trouble that is none of load, want 8", got)
	}
}

// Eight requests that fail together are one sign of trouble, not eight.
func TestRequestsThatFailTogetherCountOnce(t *testing.T) {
	g := newGate(8)
	for i := range 8 {
		if !g.Allow(start, i) {
			t.Fatal("not allowed")
		}
	}
	o := is(wire.Retry)
	o.Took = time.Second
	for i := range 8 {
		g.Report(start.Add(time.Second+time.Duration(i)*time.Millisecond), o)
	}
	g.Report(start.Add(time.Second+9*time.Millisecond), is(wire.Retry)) // reported late, so that it looks fresh
	if s := g.State(); s.Failures != 1 || s.Limit != 4 || s.Next.After(start.Add(2*time.Second)) {
		t.Errorf("state %+v, want one failure", s)
	}
}

func TestFleetShareChangesTheLimit(t *testing.T) {
	g := newGate(8)
	g.SetMaxInFlight(3)
	if got := g.State().Limit; got != 3 {
		t.Errorf("limit %d, want 3", got)
	}
	g.SetMaxInFlight(6)
	if got := g.State().Limit; got != 6 {
		t.Errorf("limit %d at its most, want it to follow to 6", got)
	}
	now, _ := probe(t, g, start, is(wire.Retry))
	g.SetMaxInFlight(8)
	if got := g.State().Limit; got != 3 {
		t.Errorf("limit %d, want it to stay at 3 and grow by itself", got)
	}
	g.SetMaxInFlight(0)
	if got := g.State().Limit; got != 1 {
		t.Errorf("limit %d, want 1", got)
	}
	_, _ = probe(t, g, now, is(wire.Delivered))
	if got := g.State().Limit; got != 1 {
		t.Errorf("limit %d, want 1", got)
	}
}

func TestByteLimitFallsOnRefusalAndRecoversSlowly(t *testing.T) {
	g := delivery.NewGate(delivery.GateOptions{MaxInFlight: 1, MaxBytes: 1 << 20})
	refused := func(bytes int) wire.Outcome { return wire.Outcome{Kind: wire.TooLarge, Bytes: bytes} }
	now := start
	for _, step := range []struct{ bytes, want int }{
		{1 << 20, 512 << 10},
		{1 << 20, 512 << 10}, // in flight with the first
		{400 << 10, 200 << 10},
		{0, 100 << 10},
		{10 << 10, 5 << 10},
		{5 << 10, 4 << 10},
		{100, 4 << 10},
	} {
		g.Report(now, refused(step.bytes))
		if got := g.MaxBytes(); got != step.want || g.State().MaxBytes != step.want {
			t.Fatalf("limit %d after a body of %d was refused, want %d", got, step.bytes, step.want)
		}
	}
	g.Report(now.Add(5*time.Minute-1), is(wire.Delivered))
	if got := g.MaxBytes(); got != 4<<10 {
		t.Errorf("limit %d before five minutes have passed", got)
	}
	now = now.Add(5 * time.Minute)
	g.Report(now, is(wire.Delivered))
	g.Report(now, is(wire.Delivered))
	if got := g.MaxBytes(); got != 5<<10 {
		t.Errorf("limit %d after five minutes, want %d", got, 5<<10)
	}
	for range 100 {
		now = now.Add(5 * time.Minute)
		g.Report(now, is(wire.Delivered))
	}
	if got := g.MaxBytes(); got != 1<<20 {
		t.Errorf("limit %d in the end, want %d", got, 1<<20)
	}
}
