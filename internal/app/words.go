package app

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// An object can be created, delivered and deleted while the watches of the member that owns it next are broken. That
// member's list shows nothing of it, and so does its checkpoint, whatever version it speaks of. The others have seen the
// deletion. They keep it, and tell the owner of it beside their checkpoints; the owner deletes what it does not have, and
// says that it has heard.

// words are what one target's members tell each other of deletions. The zero value is ready.
type words struct {
	hearing sync.Mutex // guards what follows, and is held while lists are taken
	rest    map[heardFrom]checkpoint.List
	deaf    bool // nothing is taken any more

	mu    sync.Mutex           // guards what follows
	heard map[string]string    // lists that were told, taken by us
	took  map[string]string    // lists of what is pending, taken by us
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

// pending are the deletions that our checkpoint names because they wait: our own, and those that we know from others alone,
// whose word may be gone; when we leave, all others, too. Where they are too many, those of our own come first, and the
// latest: what was deleted long after it was created is shown by some list of the past.
func (t *target) pending(mine func(resource.ID) bool) checkpoint.Deletions {
	leaving := t.leaving.Load()
	all := t.pipeline.UnacknowledgedDeletions()
	rank := func(p pipeline.PendingDeletion) int {
		switch {
		case mine(p.ID):
			return 0
		case p.Found:
			return 1
		default:
			return 2
		}
	}
	if !leaving {
		all = slices.DeleteFunc(all, func(p pipeline.PendingDeletion) bool { return rank(p) == 2 })
	}
	if len(all) > checkpoint.MaxPending {
		slices.SortFunc(all, func(a, b pipeline.PendingDeletion) int {
			return cmp.Or(rank(a)-rank(b), cmp.Compare(b.Version, a.Version), cmp.Compare(a.ID, b.ID))
		})
		all = all[:checkpoint.MaxPending]
	}
	d := make(checkpoint.Deletions, 0, len(all))
	for _, p := range all {
		d = append(d, told(p))
	}
	if leaving {
		d = t.words.untaken(d)
	}
	slices.SortFunc(d, func(a, b checkpoint.Deletion) int { return cmp.Compare(a.ID, b.ID) }) // equal lists are written once
	return d
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

// taken returns the lists that have been taken, by member: of what is told, and of what is pending.
func (w *words) taken() (heard, taken map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.heard), maps.Clone(w.took)
}

// hear takes what the others tell, and what waits at those that are gone: whoever is there answers for it. What is not ours is
// parked like any other deletion.
func (t *target) hear() {
	w := &t.words
	w.hearing.Lock()
	defer w.hearing.Unlock()
	if w.deaf {
		return
	}
	told, pending := t.book.Deletions(), t.book.Pending()
	types := make(map[string]resource.Type)
	if len(told) > 0 || len(pending) > 0 {
		for _, typ := range t.index.Types() {
			types[typ.String()] = typ
		}
	}
	heardBefore, tookBefore := w.taken()
	heard, took, rest := make(map[string]string, len(told)), make(map[string]string, len(pending)), make(map[heardFrom]checkpoint.List)
	for member, list := range told {
		from := heardFrom{member: member}
		if heardBefore[member] == list.Sum || t.take(w.left(from, list), types, rest, from) {
			heard[member] = list.Sum
		}
	}
	here := t.search.present()
	for member, list := range pending {
		if here.has(member, ownership.Process(list.Incarnation)) {
			continue
		}
		from := heardFrom{member: member, pending: true}
		if tookBefore[member] == list.Sum || t.take(w.left(from, list), types, rest, from) {
			took[member] = list.Sum
			t.book.Drop(member, list.Sum)
		}
	}
	w.rest = rest
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard, w.took = heard, took
}

// deafen ends the taking of lists, before the pipeline ends: it would not keep what is on them, and our last checkpoint would
// say that we have taken it.
func (w *words) deafen() {
	w.hearing.Lock()
	defer w.hearing.Unlock()
	w.deaf = true
}

// heardFrom says whose list it is, and whether of what is told or of what is pending.
type heardFrom struct {
	member  string
	pending bool
}

// untaken adds what was told, or waits, of types that have not been listed, as far as there is room: the checkpoint that it
// was taken from may be our own.
func (w *words) untaken(d checkpoint.Deletions) checkpoint.Deletions {
	w.hearing.Lock()
	defer w.hearing.Unlock()
	for _, list := range w.rest {
		d = append(d, list.Deletions...)
	}
	return d[:min(len(d), checkpoint.MaxPending)]
}

// left is what of a list is still to be taken. The caller holds hearing.
func (w *words) left(from heardFrom, list checkpoint.List) checkpoint.List {
	if rest, ok := w.rest[from]; ok && rest.Sum == list.Sum {
		return rest
	}
	return list
}

// take deletes what a list names and the index does not have, but for what is known to be delivered. Nothing else may be left
// out, also if its owner has it already: who has taken a list is believed to know all of it. What cannot be told yet,
// because its type has not been listed, or is not even known, goes to rest: a process that has just begun knows none. It tells
// whether there is nothing of that.
func (t *target) take(list checkpoint.List, types map[string]resource.Type, rest map[heardFrom]checkpoint.List, from heardFrom) bool {
	later := checkpoint.List{Sum: list.Sum}
	for _, d := range list.Deletions {
		parts, err := resource.ParseID(string(d.ID))
		if err != nil {
			continue
		}
		typ, known := types[d.Type]
		if !known || !t.index.Type(typ).Listed {
			later.Deletions = append(later.Deletions, d)
			continue
		}
		if t.book.CoversDeletion(d.Type, d.ID, d.After, d.Version) { // the word of somebody who left long ago
			continue
		}
		namespace := parts.Namespace
		if namespace == resource.ClusterNamespace {
			namespace = ""
		}
		t.missing(typ, namespace, parts.Name, d.After, d.Version)
	}
	if len(later.Deletions) > 0 {
		rest[from] = later
	}
	return len(later.Deletions) == 0
}
