package debounce_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/debounce"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

func due(w *debounce.Window[string], now time.Time) []string {
	var keys []string
	for {
		k, ok := w.Pop(now)
		if !ok {
			return keys
		}
		keys = append(keys, k)
	}
}

func TestAKeyIsDueOnceItHasBeenQuiet(t *testing.T) {
	w := debounce.New[string](10*time.Second, time.Minute)
	w.Touch("a", at(0))
	if got := due(w, at(9.999)); got != nil {
		t.Errorf("due before the quiet time: %v", got)
	}
	if diff := cmp.Diff([]string{"a"}, due(w, at(10))); diff != "" {
		t.Error(diff)
	}
	if w.Len() != 0 {
		t.Errorf("a popped key stays: %d", w.Len())
	}
}

func TestATouchStartsTheWaitAnew(t *testing.T) {
	w := debounce.New[string](10*time.Second, time.Minute)
	w.Touch("a", at(0))
	w.Touch("b", at(1))
	w.Touch("a", at(9))
	if diff := cmp.Diff([]string{"b"}, due(w, at(12))); diff != "" {
		t.Error(diff)
	}
	if next, ok := w.Next(); !ok || !next.Equal(at(19)) {
		t.Errorf("next is %v %v, want 19 s", next, ok)
	}
}

func TestARestlessKeyIsDueAtTheMaxWait(t *testing.T) {
	w := debounce.New[string](10*time.Second, 25*time.Second)
	for s := range 25 {
		w.Touch("restless", at(float64(s)))
		if got := due(w, at(float64(s))); got != nil {
			t.Fatalf("due after %d s: %v", s, got)
		}
	}
	if next, _ := w.Next(); !next.Equal(at(25)) {
		t.Errorf("next is %v, want 25 s", next.Sub(t0))
	}
	if diff := cmp.Diff([]string{"restless"}, due(w, at(25))); diff != "" {
		t.Error(diff)
	}
}

func TestRemoveForgets(t *testing.T) {
	w := debounce.New[string](time.Second, time.Minute)
	w.Touch("a", at(0))
	w.Touch("b", at(0))
	if !w.Remove("a") || w.Remove("a") {
		t.Error("Remove must tell whether the key was there")
	}
	if diff := cmp.Diff([]string{"b"}, due(w, at(100))); diff != "" {
		t.Error(diff)
	}
	if _, ok := w.Next(); ok {
		t.Error("an empty window has no next")
	}
}

func TestPopAnyEmptiesInOrder(t *testing.T) {
	w := debounce.New[string](time.Hour, 2*time.Hour)
	for i, k := range []string{"a", "b", "c"} {
		w.Touch(k, at(float64(i)))
	}
	w.Touch("a", at(3))
	var got []string
	for {
		k, ok := w.PopAny()
		if !ok {
			break
		}
		got = append(got, k)
	}
	if diff := cmp.Diff([]string{"b", "c", "a"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAgainstAModel runs random scripts against a trivial map. Invariants: a key is due exactly when it was quiet
// for the quiet time or waited for the max wait; it is handed out once; no key is lost; Next is the earliest due
// time.
func TestAgainstAModel(t *testing.T) {
	const quiet, maxWait = 5 * time.Second, 17 * time.Second
	type times struct{ first, last time.Time }
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := debounce.New[string](quiet, maxWait)
			model := map[string]times{}
			now := t0
			for range 500 {
				now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
				k := string(rune('a' + r.IntN(8)))
				switch r.IntN(10) {
				case 0:
					_, want := model[k]
					if got := w.Remove(k); got != want {
						t.Fatalf("Remove(%s) = %v, want %v", k, got, want)
					}
					delete(model, k)
				case 1, 2, 3:
					want := map[string]bool{}
					for k, m := range model {
						if !m.last.Add(quiet).After(now) || !m.first.Add(maxWait).After(now) {
							want[k] = true
							delete(model, k)
						}
					}
					got := map[string]bool{}
					for _, k := range due(w, now) {
						got[k] = true
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatal(diff)
					}
				default:
					m, ok := model[k]
					if !ok {
						m.first = now
					}
					m.last = now
					model[k] = m
					w.Touch(k, now)
				}
				var wantNext time.Time
				for _, m := range model {
					for _, at := range []time.Time{m.last.Add(quiet), m.first.Add(maxWait)} {
						if wantNext.IsZero() || at.Before(wantNext) {
							wantNext = at
						}
					}
				}
				if next, _ := w.Next(); !next.Equal(wantNext) {
					t.Fatalf("Next = %v, want %v", next, wantNext)
				}
				if w.Len() != len(model) {
					t.Fatalf("Len = %d, want %d", w.Len(), len(model))
				}
			}
		})
	}
}

func BenchmarkTouch(b *testing.B) {
	w := debounce.New[int](10*time.Second, time.Minute)
	b.ReportAllocs()
	for i := range b.N {
		w.Touch(i%10_000, t0.Add(time.Duration(i)))
	}
}

func BenchmarkTouchAndPop(b *testing.B) {
	w := debounce.New[int](0, 0)
	b.ReportAllocs()
	for i := range b.N {
		now := t0.Add(time.Duration(i))
		w.Touch(i, now)
		w.Pop(now)
	}
}

// TestATouchDoesNotAllocate: a key that waits already costs no memory, however restless it is.
func TestATouchDoesNotAllocate(t *testing.T) {
	w := debounce.New[int](10*time.Second, time.Minute)
	for i := range 1000 {
		w.Touch(i, t0)
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		w.Touch(i%1000, t0.Add(time.Duration(i)))
		i++
	}); n > 0 {
		t.Errorf("a touch allocates %.1f times", n)
	}
}
