package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/debounce"
)

// These are the names of changes that concern neither a label nor an annotation.
const (
	created   = "created"
	recreated = "recreated, or another controller"
)

// tracker counts the cost for one receiver of changes of one type's objects. It is the path of a change in small.
// The digest says whether a state is a change, and the debounce window says when it is sent. A change that is
// undone meanwhile is not sent.
type tracker struct {
	states   map[uint64]state
	window   *debounce.Window[uint64]
	restless map[uint64]*changes
	keys     map[uint32]string // of labels and annotations that were seen, by their hashes
	deletes  int
}

// state is the state of an object that the receiver sees.
type state struct {
	digest uint64
	sent   uint64   // the digest that the receiver would have; 0 for none
	pairs  []uint64 // of each label and annotation: half a hash of its name, and half a hash of its value
}

// changes are the changes of one object.
type changes struct {
	id         resource.ID
	seen       int
	embeddings int
	causes     map[string]int
}

func newTracker(quiet, maxWait time.Duration) *tracker {
	return &tracker{
		states: make(map[uint64]state), window: debounce.New[uint64](quiet, maxWait),
		restless: make(map[uint64]*changes), keys: make(map[uint32]string),
	}
}

// begin takes an object of a list: the first sync sends it, and every later state is a change.
func (k *tracker) begin(id resource.ID, r resource.Record) {
	k.states[id.Hash()] = state{digest: r.Digest, sent: r.Digest, pairs: k.pairs(r)}
}

// upsert takes a state from the watch.
func (k *tracker) upsert(id resource.ID, r resource.Record, now time.Time) {
	k.settle(now)
	hash := id.Hash()
	before, known := k.states[hash]
	if known && before.digest == r.Digest {
		return
	}
	after := state{digest: r.Digest, sent: before.sent, pairs: k.pairs(r)}
	k.states[hash] = after
	c := k.restless[hash]
	if c == nil {
		c = &changes{id: id, causes: make(map[string]int)}
		k.restless[hash] = c
	}
	c.seen++
	for _, cause := range k.causes(before.pairs, after.pairs, known) {
		c.causes[cause]++
	}
	k.window.Touch(hash, now)
}

// remove takes the end of an object: it was deleted, or the receiver sees it no longer. It costs no embedding.
func (k *tracker) remove(id resource.ID, now time.Time) {
	k.settle(now)
	hash := id.Hash()
	if _, known := k.states[hash]; !known {
		return
	}
	delete(k.states, hash)
	k.window.Remove(hash)
	k.deletes++
}

// settle sends the changes that are due.
func (k *tracker) settle(now time.Time) {
	for {
		hash, due := k.window.Pop(now)
		if !due {
			return
		}
		k.send(hash)
	}
}

// finish sends the changes that still wait.
func (k *tracker) finish(now time.Time) {
	k.settle(now)
	for hash, waits := k.window.PopAny(); waits; hash, waits = k.window.PopAny() {
		k.send(hash)
	}
}

func (k *tracker) send(hash uint64) {
	s := k.states[hash]
	if s.digest == s.sent {
		return // the change was undone
	}
	s.sent = s.digest
	k.states[hash] = s
	k.restless[hash].embeddings++
}

// pairs are the labels and annotations of a record, sorted.
func (k *tracker) pairs(r resource.Record) []uint64 {
	content, err := r.Body.Content()
	if err != nil { // this process made the body, so it is well-formed
		return nil
	}
	pairs := make([]uint64, 0, len(content.Labels)+len(content.Annotations))
	for _, part := range []struct {
		kind  string
		items map[string]string
	}{{"label ", content.Labels}, {"annotation ", content.Annotations}} {
		for key, value := range part.items {
			name := uint32(xxhash.Sum64String(part.kind + key))
			if _, known := k.keys[name]; !known {
				k.keys[name] = part.kind + strings.Clone(key)
			}
			pairs = append(pairs, uint64(name)<<32|uint64(uint32(xxhash.Sum64String(value))))
		}
	}
	slices.Sort(pairs)
	return pairs
}

// causes names the differences between two states of an object.
func (k *tracker) causes(before, after []uint64, known bool) []string {
	if !known {
		return []string{created}
	}
	names := make(map[string]bool)
	for _, list := range [][2][]uint64{{before, after}, {after, before}} {
		for _, pair := range list[0] {
			if _, same := slices.BinarySearch(list[1], pair); !same {
				names[k.keys[uint32(pair>>32)]] = true
			}
		}
	}
	if len(names) == 0 {
		return []string{recreated}
	}
	return slices.Sorted(maps.Keys(names))
}
