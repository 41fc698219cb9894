package app

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// An object can be created, delivered and deleted while the watches of the member that owns it next are broken. That
// member's list shows nothing of it, and so does its checkpoint, whatever version it speaks of. The others have seen the
// deletion. They keep it, and tell the owner of it beside their checkpoints; the owner deletes what it does not have, and
// says that it has heard.

// words are what one target's members tell each other of deletions. The zero value is ready.
type words struct {
	mu    sync.Mutex // guards what follows
	heard map[string]string
	said  checkpoint.Deletions // what our checkpoint tells
	since time.Time
}

// wordPatience is how long a list is told before another takes its place although not all owners have heard it.
const wordPatience = 30 * time.Second

// disputed are the deletions that owners may know nothing of.
func (t *target) disputed() checkpoint.Deletions {
	var d checkpoint.Deletions
	for _, p := range t.pipeline.ParkedDeletions(func(p pipeline.PendingDeletion) bool {
		return t.book.Disputed(p.Type.String(), p.ID, p.After, p.Version)
	}) {
		d = append(d, told(p))
	}
	return d
}

func told(p pipeline.PendingDeletion) checkpoint.Deletion {
	return checkpoint.Deletion{Type: p.Type.String(), ID: p.ID, After: p.After, Version: p.Version}
}

// tell returns what to write of deletions beside our checkpoint.
func (t *target) tell() checkpoint.Deletions {
	if t.leaving.Load() {
		return t.lastWords()
	}
	return t.words.choose(t.disputed(), time.Now())
}

// lastWords are what to tell before we leave: what is disputed, then whatever else we know of deletions that is not
// acknowledged. Whoever comes when we are gone, and the API server has forgotten, has nobody else to learn it from: of what was
// created and deleted since the last checkpoint no list of the past tells.
func (t *target) lastWords() checkpoint.Deletions {
	d := t.disputed()
	known := make(map[resource.ID]bool, len(d))
	for _, one := range d {
		known[one.ID] = true
	}
	for _, p := range t.pipeline.UnacknowledgedDeletions() {
		if !known[p.ID] {
			d = append(d, told(p))
		}
	}
	return d[:min(len(d), checkpoint.MaxDeletions)]
}

// choose returns what to tell: what was told before as long as somebody has not heard it, else what is disputed now.
func (w *words) choose(disputed checkpoint.Deletions, now time.Time) checkpoint.Deletions {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.pending(disputed, now) {
		w.said, w.since = disputed[:min(len(disputed), checkpoint.MaxDeletions)], now
	}
	return w.said
}

// due tells whether there is something to tell that has not been told.
func (w *words) due(disputed checkpoint.Deletions, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(disputed) > 0 && !w.pending(disputed, now)
}

// pending tells whether something that was told is still disputed. The caller holds mu.
func (w *words) pending(disputed checkpoint.Deletions, now time.Time) bool {
	return now.Sub(w.since) < wordPatience &&
		slices.ContainsFunc(w.said, func(d checkpoint.Deletion) bool { return slices.Contains(disputed, d) })
}

// taken returns the lists that have been taken, by member.
func (w *words) taken() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.heard)
}

// hear takes what the others tell. What is not ours is parked like any other deletion.
func (t *target) hear() {
	all := t.book.Deletions()
	types := make(map[string]resource.Type)
	if len(all) > 0 {
		for _, typ := range t.index.Types() {
			types[typ.String()] = typ
		}
	}
	heard := make(map[string]string, len(all))
	for member, list := range all {
		sum := list.Sum()
		if t.words.taken()[member] == sum || t.take(list, types) {
			heard[member] = sum
		}
	}
	t.words.mu.Lock()
	defer t.words.mu.Unlock()
	t.words.heard = heard
}

// take deletes what a list names and the index does not have. It returns false when that cannot be told yet.
func (t *target) take(list checkpoint.Deletions, types map[string]resource.Type) bool {
	for _, d := range list {
		typ, known := types[d.Type]
		if known && !t.index.Type(typ).Listed {
			return false
		}
	}
	for _, d := range list {
		typ, known := types[d.Type]
		parts, err := resource.ParseID(string(d.ID))
		if !known || err != nil { // A type that is gone took its documents with it.
			continue
		}
		if t.book.CoversDeletion(d.Type, d.ID, d.After, d.Version) { // the last word of somebody who left long ago
			continue
		}
		namespace := parts.Namespace
		if namespace == resource.ClusterNamespace {
			namespace = ""
		}
		t.missing(typ, namespace, parts.Name, d.After, d.Version)
	}
	return true
}
