package sim

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// agreed is the agreement on the senders: the members of the ring, and the parts that some of them have taken.
type agreed struct {
	view  []string
	takes []*take
}

// owner names the only sender of each object.
func (a agreed) owner(f ring.Format) func(resource.Type, resource.ID) string {
	if len(a.view) == 0 {
		return func(resource.Type, resource.ID) string { return "" }
	}
	r, err := ring.New(a.view, f)
	if err != nil {
		panic(err)
	}
	return func(t resource.Type, id resource.ID) string {
		for _, k := range a.takes {
			if k.covers(t, id) {
				return k.m.name
			}
		}
		return r.Owner(r.Partition(string(id)))
	}
}

// called is the agreement that the members call for. The caller holds mu.
func (w *World) called() agreed {
	var a agreed
	for name, m := range w.members {
		if m.live && m.joined && !m.away {
			a.view = append(a.view, name)
		}
	}
	slices.Sort(a.view)
	w.takes = slices.DeleteFunc(w.takes, func(k *take) bool {
		over := k.stay != k.m.stay || w.members[k.m.name] != k.m || !slices.Contains(a.view, k.m.name)
		if over {
			close(k.lost)
		}
		return over
	})
	// A granted take stays granted until it is given back: an earlier one that was held up then has to wait.
	for _, k := range slices.Concat(w.agreed.takes, w.takes) {
		if slices.Contains(w.takes, k) && !slices.Contains(a.takes, k) && !slices.ContainsFunc(a.takes, k.overlaps) {
			a.takes = append(a.takes, k)
		}
	}
	return a
}

// agree hands over whenever members have come or gone, or a part is taken or given back, one change after the other,
// until the world ends.
func (w *World) agree() {
	for {
		w.mu.Lock()
		if w.ended {
			for _, k := range w.takes {
				close(k.lost)
			}
			w.takes = nil
			w.mu.Unlock()
			return
		}
		before, gone, away := w.agreed, w.gone, w.away || w.anyStale()
		after := before
		if !away {
			after = w.called()
		}
		changed := !slices.Equal(after.view, before.view) || !slices.Equal(after.takes, before.takes) || len(gone) > 0
		members := maps.Clone(w.members)
		if changed && !away {
			w.agreed, w.gone = after, map[string]bool{}
			w.changes++
		}
		w.mu.Unlock()
		if changed && !away {
			w.say("the ring is %v, with %d takes, gone %v", after.view, len(after.takes), gone)
			w.handOver(members, before, after, gone)
			w.mu.Lock()
			w.changes++
			w.mu.Unlock()
			for _, k := range after.takes {
				if !slices.Contains(before.takes, k) {
					close(k.ready)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// anyStale tells whether a member cannot write its Lease at the moment, so that all others wait for it. The caller
// holds mu.
func (w *World) anyStale() bool {
	for _, m := range w.members {
		if m.stale && m.live {
			return true
		}
	}
	return false
}

// handOver does what membership does at a change of the ring. Members that lose drain, write and publish before
// members that gain begin.
func (w *World) handOver(members map[string]*member, before, after agreed, gone map[string]bool) {
	was, is := before.owner(w.format), after.owner(w.format)
	var losing sync.WaitGroup
	for _, name := range after.view {
		m := members[name]
		if _, another := gone[name]; another || !slices.Contains(before.view, name) {
			continue
		}
		losing.Go(func() {
			lost := func(t resource.Type, id resource.ID) bool { return was(t, id) == name && is(t, id) != name }
			m.peer.Lose(lost)
			m.peer.Drain(lost)
		})
	}
	losing.Wait()
	var gaining sync.WaitGroup
	for _, name := range after.view {
		m := members[name]
		var takes, yields []handoff.Span
		for _, k := range after.takes {
			if k.m.name == name {
				takes = append(takes, k.parts...)
			} else {
				yields = append(yields, k.parts...)
			}
		}
		m.peer.Publish(after.view, takes, yields)
		gaining.Go(func() {
			mine := func(t resource.Type, id resource.ID) bool { return is(t, id) == name }
			_, another := gone[name]
			gained := func(t resource.Type, id resource.ID) bool {
				return is(t, id) == name && (was(t, id) != name || another)
			}
			m.peer.Gain(m.ctx, mine, gained, func(t resource.Type, id resource.ID) bool { return gained(t, id) && gone[was(t, id)] })
		})
	}
	gaining.Wait()
}
