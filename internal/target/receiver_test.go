package target_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// counting is a receiver that counts what it gets.
type counting struct {
	mu   sync.Mutex // guards what follows
	got  map[resource.ID]bool
	sent int
}

func (c *counting) Send(_ context.Context, r delivery.Request) wire.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range r.Upserts {
		c.got[u.ID] = true
		c.sent++
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// sum returns how many objects have arrived, and how many times in all.
func (c *counting) sum() (objects, sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got), c.sent
}

// scattered are objects whose names do not tell which of them changed first.
func scattered(n int) []resource.Record {
	var list []resource.Record
	for i := range n {
		list = append(list, sim.Object(fmt.Sprintf("o%05d", i*7919%n), uint64(10+i)))
	}
	slices.SortFunc(list, func(a, b resource.Record) int { return strings.Compare(a.Name, b.Name) })
	return list
}
