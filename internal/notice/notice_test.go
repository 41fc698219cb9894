package notice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func receiver(change func(*notice.Receiver)) notice.Situation {
	r := &notice.Receiver{Endpoint: "http://receiver:3000/sync"}
	change(r)
	return notice.Situation{Receiver: r}
}

func down(by ...string) notice.Situation {
	return receiver(func(r *notice.Receiver) {
		r.Down, r.Reason, r.Advice, r.By = true, "connection refused", "See whether it runs.", by
	})
}

func held(h ...notice.Held) notice.Situation {
	return receiver(func(r *notice.Receiver) { r.Held = h })
}

// TestWatcher_EachHappeningIsSaidOnce looks at a row of situations, two seconds apart, and compares the news with
// the events. No news is repeated while its state lasts.
func TestWatcher_EachHappeningIsSaidOnce(t *testing.T) {
	well := receiver(func(*notice.Receiver) {})
	maps := notice.Held{Resource: "configmaps.v1", Source: "receiver", Member: "a", Documents: 80}
	more, other := maps, maps
	more.Documents, other.Resource = 90, "secrets.v1"
	for name, test := range map[string]struct {
		row  []notice.Situation
		want [][]string
	}{
		"all is well":                   {[]notice.Situation{{}, well, {}}, [][]string{nil, nil, nil}},
		"down, by one more, and back":   {[]notice.Situation{well, down("a"), down("a", "b"), down("b"), well, well}, [][]string{nil, {"ReceiverDown"}, nil, nil, {"ReceiverBack"}, nil}},
		"down from the start":           {[]notice.Situation{down("a"), down("a"), well}, [][]string{{"ReceiverDown"}, nil, {"ReceiverBack"}}},
		"down again":                    {[]notice.Situation{down("a"), well, down("a")}, [][]string{{"ReceiverDown"}, {"ReceiverBack"}, {"ReceiverDown"}}},
		"held, more, another, and held": {[]notice.Situation{held(maps), held(more), held(more, other), held(other), held(maps, other)}, [][]string{{"RepairHeld"}, nil, {"RepairHeld"}, nil, {"RepairHeld"}}},
		"two held at once":              {[]notice.Situation{held(maps, other)}, [][]string{{"RepairHeld"}}},
		"restores":                      {[]notice.Situation{{}, {Restores: 1}, {Restores: 1}, {Restores: 2}}, [][]string{nil, {"RestoreNoticed"}, nil, {"RestoreNoticed"}}},
		"divergences":                   {[]notice.Situation{{Divergent: []string{"pods.v1"}}, {}, {Divergent: []string{"pods.v1"}}}, [][]string{{"DivergenceFound"}, nil, {"DivergenceFound"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var w notice.Watcher
			var got [][]string
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			w.Look(notice.Situation{}, now.Add(-time.Minute)) // the watcher has been running for a while
			for _, s := range test.row {
				var reasons []string
				for _, n := range w.Look(s, now) {
					reasons = append(reasons, n.Reason)
					if n.Own != (n.Reason == "DivergenceFound") {
						t.Errorf("%s is said by %v", n.Reason, n.Own)
					}
					if n.Warning != (n.Reason != "ReceiverBack") {
						t.Errorf("%s is a warning: %v", n.Reason, n.Warning)
					}
				}
				got = append(got, reasons)
				now = now.Add(2 * time.Second)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWatcher_ReceiverDownWhileAllStarts_IsSaidIfItLasts starts beside a receiver that comes up later. A receiver
// that needs ten seconds causes no news. One that does not come is reported, with the time since it was first
// missed.
func TestWatcher_ReceiverDownWhileAllStarts_IsSaidIfItLasts(t *testing.T) {
	well := receiver(func(*notice.Receiver) {})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		upAfter int // seconds
		want    map[int]string
	}{
		"up after ten seconds":        {10, map[int]string{}},
		"up after a minute and a bit": {65, map[int]string{20: "ReceiverDown", 65: "ReceiverBack"}},
	} {
		t.Run(name, func(t *testing.T) {
			var w notice.Watcher
			got := map[int]string{}
			for second := range 90 {
				s := well
				if second > 0 && second < test.upAfter {
					s = down("a")
				}
				for _, n := range w.Look(s, start.Add(time.Duration(second)*time.Second)) {
					got[second] += n.Reason
					if n.Reason == "ReceiverBack" && !strings.Contains(n.Note, "after 1m4s") {
						t.Errorf("%q does not say since when it was down", n.Note)
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("said, by second (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWatcher_NotesSayWhatAndWhatToDo checks that the notes say what is wrong and what to do.
func TestWatcher_NotesSayWhatAndWhatToDo(t *testing.T) {
	var w notice.Watcher
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.Look(notice.Situation{}, now.Add(-time.Minute)) // the watcher has been running for a while
	say := func(s notice.Situation, words ...string) {
		t.Helper()
		news := w.Look(s, now)
		if len(news) != 1 {
			t.Fatalf("said %v, want one notice", news)
		}
		for _, word := range words {
			if !strings.Contains(news[0].Note, word) {
				t.Errorf("%q does not say %q", news[0].Note, word)
			}
		}
	}
	say(down("a", "b"), "http://receiver:3000/sync", "connection refused", "a, b", "See whether it runs.")
	now = now.Add(130 * time.Second)
	say(receiver(func(*notice.Receiver) {}), "http://receiver:3000/sync", "2m10s")
	say(held(notice.Held{Resource: "configmaps.v1", Source: "receiver", Member: "a", Documents: 80}), "80 of configmaps.v1", "force")
	say(notice.Situation{Divergent: []string{"a", "b", "c", "d", "e"}}, "a, b, c and 2 more")
}

// TestAdvice_OfEveryTrouble: every kind of trouble has a remedy.
func TestAdvice_OfEveryTrouble(t *testing.T) {
	for k := wire.Kind(0); k.String() != wire.Kind(255).String(); k++ {
		if notice.Advice(k) == "" {
			t.Errorf("no advice for %s", k)
		}
	}
}
