package handoff

import (
	"context"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

const (
	// catchUpPatience bounds the wait for watches that make no progress. A broken watch brings no state that could
	// be sent, and after a restore of etcd the others' checkpoints describe a future that never was.
	catchUpPatience = 15 * time.Second
	// quietFor is the part of that wait that is not worth a log line.
	quietFor = time.Second
	// askEvery is the interval between checks whether a type is still behind.
	askEvery = 20 * time.Millisecond
)

// catchUp waits until we know at least the states that the former owners had sent. It waits for their last
// checkpoints, which they wrote before they gave anything up. It also waits for the newest change of each type
// that they had seen. Without the wait, a member whose watches lag, or stood still while it was stopped, would
// send older states after newer ones. catchUp returns false when ctx ended.
func (s *Shard) catchUp(ctx context.Context, gained ownership.Area) bool {
	began := time.Now()
	fresh := make(map[Target]bool)
	behind := func() (waitsFor string) {
		for t, seat := range s.targetsIn(gained) {
			if !fresh[t] {
				if err := t.Refresh(ctx); err != nil {
					waitsFor = err.Error()
					continue
				}
				fresh[t] = true
			}
			if typ := t.Behind(func(typ resource.Type) bool { return gained.TouchesKind(seat.Kind(typ)) }); typ != "" {
				waitsFor = typ
			}
		}
		return waitsFor
	}
	left, ok := waitUntil(ctx, quietFor, behind)
	if !ok || left == "" {
		return ok
	}
	s.log.Info("Waiting for watches before taking over", "waitingFor", left)
	if left, ok = waitUntil(ctx, catchUpPatience-quietFor, behind); ok && left != "" {
		s.log.Info("Taking over although some watches may be behind what the receiver has",
			"waitedFor", left, "after", time.Since(began).Round(time.Millisecond).String())
	}
	return ok
}

// waitUntil checks until nothing is behind, or patience is over, and returns what was behind at the end. ok is
// false when ctx ended before.
func waitUntil(ctx context.Context, patience time.Duration, behind func() string) (left string, ok bool) {
	over := time.NewTimer(patience)
	defer over.Stop()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if left = behind(); left == "" {
			return "", true
		}
		select {
		case <-ctx.Done():
			return left, false
		case <-over.C:
			return left, true
		case <-tick.C:
		}
	}
}
