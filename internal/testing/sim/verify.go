package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

// fewLosses is how many events come to a watch for one that is lost while other events happen, and manyLosses at the
// end of a storm.
const fewLosses, manyLosses = 200, 2

// lose takes out of events those that the watch of a member loses. A member with a lost event has not seen
// everything. As long as that lasts, a storm must not end another member on the strength of this one. The caller
// holds mu.
func (w *World) lose(m *member, events []record) []record {
	var left []record
	for _, e := range events {
		if m.loses == 0 && (w.lossOf == 0 || w.luck.IntN(w.lossOf) > 0) {
			left = append(left, e)
			if m.missing[e.name] { // a later event makes good for it
				delete(m.missing, e.name)
				m.solid = time.Now()
			}
			continue
		}
		m.loses = max(m.loses-1, 0)
		w.note(e.name, "%s loses version %d of %s", m.name, e.version, e.name)
		m.missing[e.name], m.owed[e.name] = true, true
		w.lost++
	}
	return left
}

// lastLosses makes some changes of which every watch loses about half, and no change after them. Only a verification
// finds them.
func (w *World) lastLosses(rng *rand.Rand) {
	w.mu.Lock()
	w.lossOf = manyLosses
	for range 10 {
		w.change(rng)
	}
	w.mu.Unlock()
	time.Sleep(time.Second) // watches have brought the rest
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lossOf = 0
}

// whole tells whether a member knows all objects, and the receiver has the lost ones. Once the API server has
// forgotten its history, no other source remembers them: there is no inventory here. The caller holds mu.
func (w *World) whole(m *member) bool {
	maps.DeleteFunc(m.owed, func(name string, _ bool) bool { return !m.missing[name] && w.atReceiver(name) })
	return len(m.missing)+len(m.owed) == 0
}

// atReceiver tells whether the receiver has the present state of an object. The caller holds mu.
func (w *World) atReceiver(name string) bool {
	body, has := w.docs[typeOf(name).ID(namespaceOf(name), name)]
	o, there := w.objects[name]
	return has == there && (!has || body == o.record().Body)
}

// verifier compares the index of a member with the cluster and the other members.
func (w *World) verifier(m *member) *verify.Verifier {
	w.mu.Lock()
	interval, leftOut := w.interval, w.leftOut
	w.mu.Unlock()
	if len(leftOut) > 0 {
		m.peer.Objects().LeaveOut(func(_ resource.Type, _, name string) bool { return slices.Contains(leftOut, name) })
	}
	return verify.New(verify.Options{
		Member: m.name, Index: m.peer.Objects(), Lister: stateLister{m}, Relister: relister{m}, Fleet: ringOf{w}, Teller: teller{m},
		Interval: interval, Watched: m.watched,
		Diverged: func(t resource.Type) {
			w.say("%s differs from the cluster in %s", m.name, t.Resource)
			w.mu.Lock()
			defer w.mu.Unlock()
			m.diverged = true
		},
	})
}

// watched are the types that the member has listed, and that are served as far as it knows.
func (m *member) watched() []verify.Watched {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	var all []verify.Watched
	if m.listed {
		all = append(all, verify.Watched{Type: pods, Listed: m.listedAt})
	}
	if m.listed && !m.unseen {
		all = append(all, verify.Watched{Type: gadgets, Listed: m.listedAt})
	}
	return all
}

// relister implements [verify.Relister] with the watch of a member.
type relister struct{ m *member }

// Relist has every type listed, once the API server answers.
func (r relister) Relist(ctx context.Context, t resource.Type) error {
	w := r.m.w
	w.mu.Lock()
	w.count(r.m.name, t.Resource+" anew")
	r.m.relist = true
	if r.m.relisted == nil {
		r.m.relisted = make(chan struct{})
	}
	handed := r.m.relisted
	w.mu.Unlock()
	select {
	case <-handed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handed records that the index of a member has a list.
func (w *World) handed(m *member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.relisted != nil && !m.relist {
		close(m.relisted)
		m.relisted = nil
	}
}

// ringOf implements [verify.Fleet].
type ringOf struct{ w *World }

// Members are the members of the ring.
func (f ringOf) Members() []string {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return slices.Clone(f.w.agreed.view)
}

// Assignee is one of the members.
func (f ringOf) Assignee(name string) string {
	members := f.Members()
	if len(members) == 0 {
		return ""
	}
	return members[xxhash.Sum64String(name)%uint64(len(members))]
}

// teller implements [verify.Teller]: every live member hears a statement, as if it read it.
type teller struct{ m *member }

// Tell makes a statement.
func (t teller) Tell(_ context.Context, s verify.Statement) error {
	text, packed, err := s.Encode()
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	heard, err := verify.Decode(text, packed)
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	w := t.m.w
	w.mu.Lock()
	away, members := w.away, slices.Collect(maps.Values(w.members))
	w.mu.Unlock()
	if away {
		return apierrors.NewServiceUnavailable("away")
	}
	for _, o := range members {
		if o.ctx.Err() == nil {
			o.verify.Hear(t.m.name, heard, true)
		}
	}
	return nil
}
