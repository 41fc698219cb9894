package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Pages implements the API server's lists: of the present, in pages, and of the past.
func (w *World) Pages(ctx context.Context, t resource.Type, o watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	w.mu.Lock()
	if w.away {
		w.mu.Unlock()
		return 0, apierrors.NewServiceUnavailable("away")
	}
	version := o.Exact
	if version == 0 {
		version = w.version
	} else {
		w.say("somebody asks what there was at version %d", o.Exact)
	}
	there := map[string]record{}
	for _, e := range w.events {
		if e.version > version {
			break
		}
		if typeOf(e.name) != t || o.Namespace != "" && o.Namespace != namespaceOf(e.name) {
			continue
		}
		if there[e.name] = e; e.deleted {
			delete(there, e.name)
		}
	}
	version = w.shown(t, version)
	w.mu.Unlock()
	var rs []resource.Record
	for _, name := range slices.Sorted(maps.Keys(there)) {
		rs = append(rs, there[name].record())
	}
	if o.Exact > 0 {
		return version, page(rs)
	}
	for some := range slices.Chunk(rs, 4) {
		if err := page(some); err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return version, nil
}

// Deletions implements the API server's history.
func (w *World) Deletions(_ context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error {
	w.mu.Lock()
	if w.away || after < w.forgotten || w.shown(t, after) == 0 {
		w.mu.Unlock()
		return watch.ErrExpired
	}
	var gone []watch.Deletion
	for _, e := range w.events {
		if typeOf(e.name) == t && e.deleted && e.version > after && e.version <= until {
			gone = append(gone, watch.Deletion{Namespace: namespaceOf(e.name), Name: e.name, Version: e.version})
		}
	}
	w.mu.Unlock()
	for _, d := range gone {
		each(d)
	}
	return nil
}

// tick is the pause between two looks of the watches.
const tick = 50 * time.Millisecond

// watch brings members their unseen events, until the world ends, and lets change make a change before that. It
// holds the API server's lock meanwhile.
func (w *World) watch(change func()) {
	for {
		w.mu.Lock()
		if w.ended {
			w.mu.Unlock()
			return
		}
		if !w.away {
			change()
		}
		members := slices.Collect(maps.Values(w.members))
		w.mu.Unlock()
		for _, m := range members {
			w.bring(m)
		}
		time.Sleep(tick)
	}
}

// put creates or changes an object. The caller holds mu.
func (w *World) put(name string) {
	w.version++
	r := record{name: name, version: w.version, opaque: w.shown(typeOf(name), w.version) == 0}
	w.objects[name] = r
	w.events = append(w.events, r)
	w.note(name, "%s changes: version %d", name, w.version)
}

// shown is a version as clients read it: 0 if the versions of its type are no numbers. The caller holds mu.
func (w *World) shown(t resource.Type, version uint64) uint64 {
	if w.opaque && t == gadgets {
		return 0
	}
	return version
}

// drop deletes an object. The caller holds mu.
func (w *World) drop(name string) {
	w.version++
	delete(w.objects, name)
	w.events = append(w.events, record{name: name, version: w.version, opaque: w.shown(typeOf(name), w.version) == 0, deleted: true})
	w.note(name, "%s is deleted at version %d", name, w.version)
}

// goAway lets the API server go away.
func (w *World) goAway() {
	w.say("the API server is away, and forgets")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = true
	w.maps.Answer(apierrors.NewServiceUnavailable("away"))
}

// comeBack lets the API server come back without its history, so that all watches begin anew.
func (w *World) comeBack() {
	w.say("the API server is back")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away, w.forgotten = false, w.version
	w.maps.Answer(nil)
	for _, m := range w.members {
		m.relist = true
	}
}

// change makes one random change. The caller holds mu.
func (w *World) change(rng *rand.Rand) {
	name := fmt.Sprint("o", rng.IntN(12))
	switch n := rng.IntN(12); {
	case n == 0 && !w.removed:
		name = fmt.Sprint("g", rng.IntN(6))
	case n < 5: // many names that come and go once
		name = fmt.Sprint("once", rng.IntN(1000))
	}
	if _, there := w.objects[name]; there && rng.IntN(2) == 0 {
		w.drop(name)
	} else {
		w.put(name)
	}
	if names := slices.Sorted(maps.Keys(w.objects)); len(names) > 20 {
		w.drop(names[rng.IntN(len(names))])
	}
}

// bring shows new events to a member's watch.
func (w *World) bring(m *member) {
	w.mu.Lock()
	if w.away || m.lags || m.blind || m.ctx.Err() != nil || !m.joined {
		w.mu.Unlock()
		return
	}
	var list []resource.Record
	relist, version := m.relist || !m.listed, w.version
	events := w.events[m.next:]
	m.next = len(w.events)
	back := m.unseen && !w.removed
	gone := m.listed && !m.unseen && w.removed
	m.unseen = w.removed
	var others []resource.Record
	if relist || back {
		for _, name := range slices.Sorted(maps.Keys(w.objects)) {
			if typeOf(name) == gadgets {
				others = append(others, w.objects[name].record())
			} else {
				list = append(list, w.objects[name].record())
			}
		}
	}
	served, shown, quiet := !w.removed, w.shown(gadgets, version), w.quiet
	if relist {
		m.relist, m.listed, m.diverged, m.solid, m.listedAt = false, true, false, time.Now(), time.Now()
		clear(m.missing)
	} else {
		events = w.lose(m, events)
	}
	w.mu.Unlock()
	if relist {
		w.say("%s lists at version %d", m.name, version)
		m.peer.Objects().Replace(pods, list, version)
	}
	if gone {
		w.say("%s sees that a type is gone", m.name)
		m.peer.Objects().Remove(gadgets)
	}
	if served && (relist || back) {
		m.peer.Objects().Replace(gadgets, others, shown)
	}
	if relist {
		w.handed(m)
		return
	}
	for _, e := range events {
		switch typ := typeOf(e.name); {
		case typ == gadgets && (!served || back): // an event of a watch that has ended, or before its list
		case e.deleted:
			m.peer.Objects().Delete(typ, namespaceOf(e.name), e.name, e.shown())
		default:
			m.peer.Objects().Upsert(typ, e.record())
		}
	}
	if quiet {
		return
	}
	m.peer.Objects().Bookmark(pods, version)
	if served {
		m.peer.Objects().Bookmark(gadgets, shown)
	}
}

// turn removes the second type with its objects, or serves it again.
func (w *World) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = !w.removed
	w.say("the type is removed: %v", w.removed)
	if !w.removed {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		if typeOf(name) == gadgets {
			w.drop(name)
		}
	}
}

// History is an API server at a version, which remembers the creation of its objects, and which does not change.
func History(version uint64, objects []resource.Record) Pager {
	w := &World{apiServer: apiServer{version: version, forgotten: 1}}
	for _, o := range objects {
		w.events = append(w.events, record{name: o.Name, version: o.ResourceVersion})
	}
	return w
}
