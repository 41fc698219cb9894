package delivery_test

import (
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func TestLimitHalvesOnTroubleAndGrowsPerRound(t *testing.T) {
	b := newBreaker(8)
	busy := is(wire.Retry)
	busy.Status = 429
	now := start
	for _, want := range []int{4, 2, 1, 1} {
		now, _ = send(t, b, delivery.Upserts, now, busy)
		if got := b.State().Limit; got != want {
			t.Fatalf("limit %d, want %d", got, want)
		}
	}
	successes := 0
	for want := 2; want <= 8; want++ {
		for range want - 1 { // a round has as many as the limit
			if got := b.State().Limit; got != want-1 {
				t.Fatalf("limit %d after %d successes, want %d", got, successes, want-1)
			}
			now, _ = send(t, b, delivery.Upserts, now, is(wire.Delivered))
			successes++
		}
	}
	for range 20 {
		now, _ = send(t, b, delivery.Upserts, now, is(wire.Delivered))
	}
	if got := b.State().Limit; got != 8 {
		t.Errorf("limit %d, want 8 and no more", got)
	}
	for _, kind := range []wire.Kind{wire.Unauthorized, wire.WrongEndpoint} {
		now, _ = send(t, b, delivery.Upserts, now, is(kind))
	}
	if got := b.State().Limit; got != 8 {
		t.Errorf("limit %d after trouble that is none of load, want 8", got)
	}
}

// Eight requests that fail together are one sign of trouble, not eight.
func TestRequestsThatFailTogetherCountOnce(t *testing.T) {
	b := newBreaker(8)
	var under []delivery.Attempt
	for range 8 {
		if !b.Allow(start, delivery.Upserts) {
			t.Fatal("not allowed")
		}
		under = append(under, b.Begin(delivery.Upserts))
	}
	o := is(wire.Retry)
	o.Status = 429
	for _, a := range under {
		b.Report(start, a, o)
	}
	if s := b.State(); s.Failures != 1 || s.Limit != 4 || s.Next.After(start.Add(time.Second)) {
		t.Errorf("state %+v, want one failure", s)
	}
}

func TestFleetShareChangesTheLimit(t *testing.T) {
	b := newBreaker(8)
	b.SetMaxInFlight(3)
	if got := b.State().Limit; got != 3 {
		t.Errorf("limit %d, want 3", got)
	}
	b.SetMaxInFlight(6)
	if got := b.State().Limit; got != 6 {
		t.Errorf("limit %d at its most, want it to follow to 6", got)
	}
	busy := is(wire.Retry)
	busy.Status = 429
	now, _ := send(t, b, delivery.Upserts, start, busy)
	b.SetMaxInFlight(8)
	if got := b.State().Limit; got != 3 {
		t.Errorf("limit %d, want it to stay at 3 and grow by itself", got)
	}
	b.SetMaxInFlight(0)
	if got := b.State().Limit; got != 1 {
		t.Errorf("limit %d, want 1", got)
	}
	_, _ = send(t, b, delivery.Upserts, now, is(wire.Delivered))
	if got := b.State().Limit; got != 1 {
		t.Errorf("limit %d, want 1", got)
	}
}

func TestByteLimitFallsOnRefusalAndRecoversSlowly(t *testing.T) {
	b := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1, MaxBytes: 1 << 20})
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
		b.Report(now, b.Begin(delivery.Upserts), refused(step.bytes))
		if got := b.MaxBytes(); got != step.want || b.State().MaxBytes != step.want {
			t.Fatalf("limit %d after a body of %d was refused, want %d", got, step.bytes, step.want)
		}
	}
	b.Report(now.Add(5*time.Minute-1), b.Begin(delivery.Upserts), is(wire.Delivered))
	if got := b.MaxBytes(); got != 4<<10 {
		t.Errorf("limit %d before five minutes have passed", got)
	}
	now = now.Add(5 * time.Minute)
	b.Report(now, b.Begin(delivery.Upserts), is(wire.Delivered))
	b.Report(now, b.Begin(delivery.Upserts), is(wire.Delivered))
	if got := b.MaxBytes(); got != 5<<10 {
		t.Errorf("limit %d after five minutes, want %d", got, 5<<10)
	}
	for range 100 {
		now = now.Add(5 * time.Minute)
		b.Report(now, b.Begin(delivery.Upserts), is(wire.Delivered))
	}
	if got := b.MaxBytes(); got != 1<<20 {
		t.Errorf("limit %d in the end, want %d", got, 1<<20)
	}
}
