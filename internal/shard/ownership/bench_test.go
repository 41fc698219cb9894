package ownership_test

import (
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// bench drives machines by hand against a server that the tests inspect.
type bench struct {
	t   *testing.T
	api server
	now time.Duration
	ms  []*hand
}

// hand is one machine with its place in the log.
type hand struct {
	*ownership.Machine
	b        *bench
	position int
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, api: server{leases: make(map[string]ownership.Lease)}}
}

func (b *bench) join(member, uid string, f ring.Format) *hand {
	b.t.Helper()
	m, err := ownership.New(ownership.Self{Member: member, UID: uid, Process: uid + "-p"}, f, ownership.DefaultTimings())
	if err != nil {
		b.t.Fatal(err)
	}
	h := &hand{Machine: m, b: b, position: len(b.api.log)}
	h.Synced(b.api.list(), b.api.version, b.now)
	b.ms = append(b.ms, h)
	return h
}

// see delivers all new events.
func (h *hand) see() {
	for ; h.position < len(h.b.api.log); h.position++ {
		if e := h.b.api.log[h.position]; e.deleted {
			h.Deleted(e.lease.Member, e.version, h.b.now)
		} else {
			h.Observe(e.lease, h.b.now)
		}
	}
}

// write performs the write that is due, and tells whether there was one that was applied.
func (h *hand) write() bool {
	w, ok := h.BeginWrite(h.b.now)
	if !ok {
		return false
	}
	version, ok := h.b.api.put(w.Lease, w.Base, false)
	if ok {
		h.EndWrite(ownership.Succeeded, version, h.b.now)
	} else {
		h.EndWrite(ownership.Conflicted, 0, h.b.now)
	}
	return ok
}

// drain says that no request is in flight.
func (h *hand) drain() {
	if d, ok := h.Drain(); ok {
		h.Drained(d.Token, h.b.now)
	}
}

// settle lets all machines work for a while.
func (b *bench) settle(d time.Duration) {
	for end := b.now + d; b.now < end; b.now += 100 * time.Millisecond {
		for range 3 {
			for _, h := range b.ms {
				h.Tick(b.now)
				h.see()
				h.drain()
				h.write()
				for _, r := range h.Retirements(b.now) {
					if r.Kind == ownership.Collect {
						b.api.remove(r.Member, r.Version)
					} else {
						b.api.put(r.Lease, r.Version, true)
					}
				}
			}
		}
	}
}

func (h *hand) sends() int {
	n := 0
	for p := range 64 {
		if h.MaySend(plain, "", p, h.b.now) {
			n++
		}
	}
	return n
}

func (b *bench) ring(members ...string) []*hand {
	b.t.Helper()
	for _, m := range members {
		b.join(m, "uid-"+m, formatOld)
	}
	b.settle(20 * time.Second)
	n := 0
	for _, h := range b.ms {
		n += h.sends()
	}
	if n != 64 {
		b.t.Fatalf("the ring sends for %d partitions, want 64", n)
	}
	return slices.Clone(b.ms)
}

// kill takes a machine out of the bench.
func (b *bench) kill(h *hand) { b.ms = slices.DeleteFunc(b.ms, func(o *hand) bool { return o == h }) }

// firstOf returns the first partition of a set.
func firstOf(s ownership.Set) int {
	for p := range s.All() {
		return p
	}
	return -1
}
