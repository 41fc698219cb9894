package app

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// windowNote begins the key of the note by which a member announces what it sends again for all; the target follows.
const windowNote = "window-"

// announcement is one window; a note's value is a list of them in JSON.
type announcement struct {
	// ID names the window.
	ID string `json:"id"`
	// Types are the types that are sent.
	Types []string `json:"types"`
	// Doubt says that some request had an outcome that nobody knows.
	Doubt bool `json:"doubt,omitempty"`
}

// windows are, for one target, the types that some member sends again for all, as everybody's Leases tell. A window whose
// member vanishes stays open for the receiver's settle time: what that member had sent may still be applied.
type windows struct {
	note   string
	settle time.Duration
	wake   func() // something has closed

	mu     sync.Mutex // guards what follows; taken last, and for moments
	open   map[windowKey]*window
	counts map[string]int // open windows by type
	closed []closedWindow
}

type windowKey struct{ member, incarnation, id string }

type window struct {
	types []string
	doubt bool
	until time.Time // not zero: its member has vanished
}

// closedWindow is a window whose types' last words are due.
type closedWindow struct {
	types map[string]bool
	doubt bool
}

func newWindows(key string, settle time.Duration, wake func()) *windows {
	return &windows{note: windowNote + key, settle: settle, wake: wake, open: make(map[windowKey]*window), counts: make(map[string]int)}
}

// touched is for [pipeline.Options.Touched].
func (w *windows) touched(t resource.Type) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.counts) > 0 && w.counts[t.String()] > 0
}

// noted takes what all members make known.
func (w *windows) noted(all []ownership.Notice, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stays := make(map[[2]string]bool, len(all))
	here := make(map[windowKey]bool)
	for _, n := range all {
		stays[[2]string{n.Member, n.Incarnation}] = true
		var said []announcement
		if text := n.Notes[w.note]; text == "" || json.Unmarshal([]byte(text), &said) != nil {
			continue
		}
		for _, a := range said {
			k := windowKey{n.Member, n.Incarnation, a.ID}
			here[k] = true
			w.see(k, a)
		}
	}
	for k, o := range w.open {
		switch {
		case here[k] || !o.until.IsZero():
		case stays[[2]string{k.member, k.incarnation}]:
			w.close(k)
		default:
			o.doubt, o.until = true, now.Add(w.settle)
		}
	}
}

// see takes an announcement. It is called with mu held.
func (w *windows) see(k windowKey, a announcement) {
	if o := w.open[k]; o != nil {
		o.doubt = o.doubt || a.Doubt
		return
	}
	w.open[k] = &window{types: a.Types, doubt: a.Doubt}
	for _, t := range a.Types {
		w.counts[t]++
	}
}

// close is called with mu held.
func (w *windows) close(k windowKey) {
	o := w.open[k]
	delete(w.open, k)
	c := closedWindow{types: make(map[string]bool, len(o.types)), doubt: o.doubt}
	for _, t := range o.types {
		c.types[t] = true
		if w.counts[t]--; w.counts[t] == 0 {
			delete(w.counts, t)
		}
	}
	w.closed = append(w.closed, c)
	w.wake()
}

// take returns the windows that have closed since the last call, and when to ask again although nobody wakes us; ok is
// false when there is no such time.
func (w *windows) take(now time.Time) (closed []closedWindow, next time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, o := range w.open {
		switch {
		case o.until.IsZero():
		case !now.Before(o.until):
			w.close(k)
		case !ok || o.until.Before(next):
			next, ok = o.until, true
		}
	}
	closed, w.closed = w.closed, nil
	return closed, next, ok
}

// matches tells whether a window held a type.
func (c closedWindow) matches(t resource.Type) bool { return c.types[t.String()] }
