package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// send is the receiver: it takes a request of a member.
func (w *World) send(ctx context.Context, from string, r delivery.Request) wire.Outcome {
	select {
	case <-ctx.Done():
		return wire.Outcome{Kind: wire.Unknown, Own: true}
	case <-time.After(10 * time.Millisecond):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.mode {
	case "busy":
		return wire.Outcome{Kind: wire.Retry, Status: 503, Reason: "busy"}
	case "steady":
		w.mu.Unlock()
		defer w.mu.Lock()
		return w.slowly(ctx, from, r, time.Second)
	case "hangs":
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		w.mu.Lock()
		return wire.Outcome{Kind: wire.Unknown, Reason: "no answer"}
	case "slow":
		takes := time.Duration(w.paceOf(from).IntN(20_000)) * time.Millisecond
		w.mu.Unlock()
		defer w.mu.Lock()
		return w.slowly(ctx, from, r, takes)
	}
	w.receive(from, r)
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// paceOf decides how long the requests of a member take. In a scenario each member has a generator of its own, because
// requests of two members come at one instant in either order. The caller holds mu.
func (w *World) paceOf(member string) *rand.Rand {
	if w.paces == nil {
		return w.pace
	}
	if w.paces[member] == nil {
		w.paces[member] = rand.New(rand.NewPCG(xxhash.Sum64String(member), 3))
	}
	return w.paces[member]
}

// slowly applies a request after a while, whether or not its client is still there.
func (w *World) slowly(ctx context.Context, from string, r delivery.Request, takes time.Duration) wire.Outcome {
	applied := make(chan struct{})
	w.late.Go(func() {
		defer close(applied)
		time.Sleep(takes)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.receive(from, r)
	})
	select {
	case <-applied:
		return wire.Outcome{Kind: wire.Delivered, Status: 200}
	case <-ctx.Done():
		return wire.Outcome{Kind: wire.Unknown, Own: true}
	case <-time.After(slowTimeout):
		return wire.Outcome{Kind: wire.Unknown, TimedOut: true, Reason: "no answer"}
	}
}

// behave sets how the receiver treats requests.
func (w *World) behave(mode string) {
	w.say("the receiver: %q", mode)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = mode
}

// slowTimeout is how long a client waits for an answer.
const slowTimeout = 5 * time.Second

// receive applies a request. The caller holds mu.
func (w *World) receive(from string, r delivery.Request) {
	for _, u := range r.Upserts {
		w.note(u.Name, "the receiver gets %s of version %s", u.Name, u.Body)
		w.docs[u.ID], w.sentAt[u.ID] = u.Body, time.Now()
		w.got = append(w.got, delivered{from: from, what: fmt.Sprintf("+%s@%s", u.Name, u.Body)})
	}
	for _, id := range r.Deletes {
		name := string(id[strings.LastIndexByte(string(id), '/')+1:])
		w.note(name, "the receiver deletes %s", name)
		delete(w.docs, id)
		w.got = append(w.got, delivered{from: from, what: "-" + name})
	}
}

// compare says which documents of the receiver are wrong.
func (w *World) compare() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var amiss []string
	want := map[resource.ID]resource.Body{}
	for _, r := range w.objects {
		want[typeOf(r.name).ID(namespaceOf(r.name), r.name)] = r.record().Body
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if body, there := w.docs[id]; !there {
			amiss = append(amiss, fmt.Sprintf("missing %s", id))
		} else if body != want[id] {
			amiss = append(amiss, fmt.Sprintf("wrong %s is of version %s, want %s", id, body, want[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.docs)) {
		if _, there := want[id]; !there {
			amiss = append(amiss, fmt.Sprintf("stale %s of version %s", id, w.docs[id]))
		}
	}
	return strings.Join(amiss, "; ")
}

// delivered is a state, or a deletion, as the receiver has taken it.
type delivered struct{ from, what string }
