package app_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

// board is what a ring of two, a and b, knows. What a writes is seen by all when seen is set.
type board struct {
	mu     sync.Mutex // guards what follows
	stay   string
	notes  map[string]string
	seen   bool
	others []ownership.Notice
}

func (b *board) SetNote(key, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = maps.Clone(b.notes)
	if b.notes == nil {
		b.notes = map[string]string{}
	}
	if b.notes[key] = value; value == "" {
		delete(b.notes, key)
	}
}

func (b *board) NotesSeen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

func (b *board) Incarnation() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stay
}

func (b *board) Notices() []ownership.Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]ownership.Notice{{Member: "a", Incarnation: b.stay, Notes: b.notes}}, b.others...)
}

func (b *board) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// wants checks what a member, told all notices, takes for touched.
func wants(t *testing.T, w app.Windows, b *board, when string, touched bool) {
	t.Helper()
	w.Noted(b.Notices(), time.Now())
	if got := w.Touched(pods); got != touched {
		t.Errorf("%s: pods touched %v, want %v", when, got, touched)
	}
	if w.Touched(namespaces) {
		t.Errorf("%s: another type is touched", when)
	}
}

var other = []ownership.Notice{{Member: "b", Incarnation: "b.1"}}

func TestAWindowIsOpenOnceAllKnowAndClosesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{stay: "a.1", others: other}
		woken := 0
		w := app.NewWindows("default", time.Minute, func() { woken++ })
		a := app.NewAnnouncer(b, "a", "default", time.Minute, 40*time.Second)
		opened := make(chan resync.Window, 1)
		go func() {
			o, err := a.Open(t.Context(), pods)
			if err != nil {
				t.Error(err)
			}
			opened <- o
		}()
		time.Sleep(time.Second)
		select {
		case <-opened:
			t.Fatal("open before the others know")
		default:
		}
		wants(t, w, b, "announced", true)
		b.change(func() { b.seen = true })
		o := <-opened
		if !o.Permit().Valid() {
			t.Error("the permit is not valid")
		}
		o.Close(true)
		if o.Permit().Valid() {
			t.Error("the permit is valid after the end")
		}
		wants(t, w, b, "closed", false)
		if closed, doubt := w.Take(time.Now(), pods); closed != 1 || doubt != 0 || woken == 0 {
			t.Errorf("%d windows closed, %d in doubt, woken %d times", closed, doubt, woken)
		}
	})
}

func TestAWindowInDoubtStaysOpenForTheSettleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{stay: "a.1", others: other, seen: true}
		w := app.NewWindows("default", time.Minute, func() {})
		a := app.NewAnnouncer(b, "a", "default", time.Minute, time.Minute)
		o, err := a.Open(t.Context(), pods)
		if err != nil {
			t.Fatal(err)
		}
		o.Close(false)
		wants(t, w, b, "in doubt", true)
		time.Sleep(61 * time.Second)
		wants(t, w, b, "settled", false)
		if closed, doubt := w.Take(time.Now(), pods); closed != 1 || doubt != 1 {
			t.Errorf("%d windows closed, %d in doubt, want the one, in doubt", closed, doubt)
		}
	})
}

func TestTheWindowOfAMemberThatVanishesIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{stay: "a.1", others: other, seen: true}
		w := app.NewWindows("default", time.Minute, func() {})
		a := app.NewAnnouncer(b, "a", "default", time.Minute, time.Minute)
		o, err := a.Open(t.Context(), pods)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, w, b, "open", true)
		b.change(func() { b.stay = "a.2" }) // its Lease was lost, and it has come back
		a.Noted("a.2", b.Notices())
		if o.Permit().Valid() {
			t.Error("the permit outlives the stay in the ring")
		}
		b.change(func() { b.notes = nil })
		wants(t, w, b, "gone", true)
		if closed, _ := w.Take(time.Now(), pods); closed != 0 {
			t.Error("closed at once although its requests may still be applied")
		}
		time.Sleep(61 * time.Second)
		if closed, doubt := w.Take(time.Now(), pods); closed != 1 || doubt != 1 {
			t.Errorf("%d windows closed, %d in doubt, want the one, in doubt", closed, doubt)
		}
		wants(t, w, b, "settled", false)
		o.Close(true)
	})
}

func TestALoneMemberNeedsNoAnnouncement(t *testing.T) {
	b := &board{stay: "a.1"}
	a := app.NewAnnouncer(b, "a", "default", time.Minute, time.Minute)
	o, err := a.Open(t.Context(), pods)
	if err != nil || !o.Permit().Valid() || len(b.notes) > 0 {
		t.Fatalf("%v, notes %v", err, b.notes)
	}
	b.change(func() { b.others = other })
	a.Noted("a.1", b.Notices())
	if o.Permit().Valid() {
		t.Error("the permit is valid although somebody has come who was not told")
	}
	o.Close(true)
}

func TestAMemberThatDoesNotAnswerStopsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{stay: "a.1", others: other}
		a := app.NewAnnouncer(b, "a", "default", time.Minute, 40*time.Second)
		if _, err := a.Open(t.Context(), pods); err == nil || len(b.notes) > 0 {
			t.Errorf("%v, notes %v", err, b.notes)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.Open(ctx, pods); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
