package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// I9: one of three members, whichever it is, loses an event of each kind.
func TestPeers_OneLosesAnEvent_ItIsRightWithinAMinute(t *testing.T) {
	for _, unlucky := range []string{"m0", "m1", "m2"} {
		for kind, change := range map[string]func(*watchtest.Server){
			"added":    func(s *watchtest.Server) { put(s, pods, "new") },
			"modified": func(s *watchtest.Server) { put(s, pods, "p3") },
			"deleted":  func(s *watchtest.Server) { s.Delete(pods.GVR(), "a", "p3") },
		} {
			t.Run(unlucky+" "+kind, func(t *testing.T) {
				inWorld(t, 0, []string{"m0", "m1", "m2"}, some, func(t *testing.T, w *world) {
					time.Sleep(time.Minute)
					w.members[unlucky].lose(func(string) bool { return true })
					change(w.server)
					synctest.Wait()
					w.members[unlucky].lose(nil)
					time.Sleep(time.Minute)
					w.wantRight("a minute later")
					if n := w.members[unlucky].relists(pods); n != 1 {
						t.Errorf("the type was listed anew %d times, want once", n)
					}
					if n := w.members[unlucky].relists(jobs); n != 0 {
						t.Errorf("another type was listed anew %d times", n)
					}
				})
			})
		}
	}
}

// A later event of the type brings the index past the version, and the index has another sum there.
func TestPeers_LaterEventsArrive_TheDifferenceShowsAllTheSame(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1"}, some, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		w.members["m1"].lose(func(name string) bool { return name == "p3" })
		put(w.server, pods, "p3")
		for range 30 {
			put(w.server, pods, "p4")
			time.Sleep(time.Second)
		}
		time.Sleep(30 * time.Second)
		w.wantRight("a minute later")
	})
}

func TestPeers_NothingIsLost_NothingIsListed(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1", "m2"}, some, func(t *testing.T, w *world) {
		for i := range 600 {
			put(w.server, pods, fmt.Sprint("p", i%7))
			if i%50 == 0 {
				w.server.Delete(pods.GVR(), "a", "p9")
				w.server.Bookmark(jobs.GVR())
			}
			time.Sleep(137 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		for _, m := range w.members {
			if n := m.relists(pods) + m.relists(jobs) + m.lists(pods) + m.lists(jobs); n != 0 {
				t.Errorf("%s listed %d times although nothing was lost", m.name, n)
			}
		}
	})
}

// A member whose sums cannot be compared must not list for ever.
func TestPeers_NeverEqual_ThePauseDoubles(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1"}, some, func(t *testing.T, w *world) {
		w.members["m1"].index.LeaveOut(func(_ resource.Type, _, name string) bool { return name == "odd" })
		put(w.server, pods, "odd")
		for range 4 * 60 {
			put(w.server, pods, "p1")
			time.Sleep(time.Minute)
		}
		for _, m := range w.members {
			if n := m.relists(pods); n < 5 || n > 20 {
				t.Errorf("%s listed anew %d times in four hours, want some, and few", m.name, n)
			}
		}
	})
}

func TestLists_ASingleMemberLosesEvents_AnIntervalLaterItIsRight(t *testing.T) {
	inWorld(t, time.Hour, []string{"m0"}, some, func(t *testing.T, w *world) {
		m := w.members["m0"]
		m.lose(func(string) bool { return true })
		put(w.server, pods, "new", "p1")
		w.server.Delete(jobs.GVR(), "a", "j3")
		synctest.Wait()
		m.lose(nil)
		time.Sleep(time.Hour + time.Minute)
		w.wantRight("an hour later")
		if got, want := m.took(), []string{"j3 deleted=true", "new deleted=false", "p1 deleted=false"}; !slices.Equal(got, want) {
			t.Errorf("a receiver was sent %v, want %v", got, want)
		}
	})
}

// I6, and: each type is listed by one member, once an interval.
func TestLists_UnchangedCluster_EachTypeIsListedOnceByOneMemberAndNothingIsSent(t *testing.T) {
	inWorld(t, time.Hour, []string{"m0", "m1", "m2"}, some, func(t *testing.T, w *world) {
		time.Sleep(6*time.Hour + 10*time.Minute)
		for _, typ := range []resource.Type{pods, jobs} {
			lists := 0
			for _, m := range w.members {
				lists += m.lists(typ)
			}
			if lists < 4 || lists > 8 {
				t.Errorf("%s was listed %d times in six hours, want 6", typ.Resource, lists)
			}
		}
		for _, m := range w.members {
			if got := m.took(); len(got) > 0 || m.relists(pods)+m.relists(jobs) > 0 {
				t.Errorf("%s was told of %v, and listed anew", m.name, got)
			}
			for _, typ := range []resource.Type{pods, jobs} {
				if age := time.Since(m.verifier.Verified(verify.Watched{Type: typ})); age > time.Hour+time.Minute {
					t.Errorf("%s: %s was held against a list %s ago", m.name, typ.Resource, age)
				}
			}
		}
	})
}

// I5: an incomplete list proves nothing, and a single list proves little.
func TestLists_AnswersAreHalvesOrErrors_NothingIsDeleted(t *testing.T) {
	for name, meddle := range map[string]func(*lister){
		"half":  func(l *lister) { l.half = true },
		"error": func(l *lister) { l.err = errors.New("in the middle") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, time.Hour, []string{"m0"}, some, func(t *testing.T, w *world) {
				m := w.members["m0"]
				m.lister.mu.Lock()
				meddle(m.lister)
				m.lister.mu.Unlock()
				time.Sleep(3 * time.Hour)
				if m.lists(pods) == 0 {
					t.Fatal("nothing was listed: the test proves nothing")
				}
				if got := m.took(); len(got) > 0 {
					t.Errorf("a receiver was sent %v", got)
				}
				w.wantRight("afterwards")
			})
		})
	}
}

func TestLists_OneAnswerIsCutShort_TheSecondDecides(t *testing.T) {
	inWorld(t, time.Hour, []string{"m0"}, some, func(t *testing.T, w *world) {
		m := w.members["m0"]
		m.lister.mu.Lock()
		m.lister.half = true
		m.lister.onPage = sync.OnceFunc(func() {
			go func() {
				m.lister.mu.Lock()
				defer m.lister.mu.Unlock()
				m.lister.half = false
			}()
		})
		m.lister.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if m.relists(pods)+m.relists(jobs) != 0 {
			t.Error("a single list that was cut short led to a repair")
		}
	})
}

func TestRun_TheWholeFleetGivesItsVerdict(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1", "m2"}, some, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		w.members["m1"].lose(func(string) bool { return true })
		put(w.server, pods, "new")
		synctest.Wait()
		w.members["m1"].lose(nil)
		run, err := w.members["m0"].verifier.Start([]resource.Type{pods, jobs}, "")
		if err != nil || !run.Running() {
			t.Fatalf("Start returned %+v and %v", run, err)
		}
		if again, _ := w.members["m0"].verifier.Start([]resource.Type{jobs, pods}, ""); again.ID != run.ID {
			t.Error("the same was begun twice")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		run, err = w.members["m0"].verifier.Wait(ctx, run.ID)
		if err != nil || run.Running() || run.Done() != 2 {
			t.Fatalf("Wait returned %+v and %v", run, err)
		}
		want := []verify.TypeVerdict{
			{Type: jobs.String(), Verdict: verify.Equal, Objects: 10}, {Type: pods.String(), Verdict: verify.Repaired, Objects: 11, Repaired: []string{"m1"}},
		}
		for i, tv := range run.Types {
			if tv.Version = 0; tv.Type != want[i].Type || tv.Verdict != want[i].Verdict || tv.Objects != want[i].Objects || !slices.Equal(tv.Repaired, want[i].Repaired) {
				t.Errorf("verdict %+v, want %+v", tv, want[i])
			}
		}
		w.wantRight("when the run has ended")
		time.Sleep(5 * time.Second)
		if other, ok := w.members["m2"].verifier.Get(run.ID); !ok || other.Running() {
			t.Errorf("another member says %+v of the run (%v)", other, ok)
		}
	})
}

// TestRun_TypesHaveJustBeenListed_EveryMemberKnowsThem: a type counts as watched, even if its watch began after
// the last statement.
func TestRun_TypesHaveJustBeenListed_EveryMemberKnowsThem(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1", "m2"}, some, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		for _, m := range w.members {
			m.watches.Set(nil)
		}
		time.Sleep(time.Minute)
		for _, m := range w.members {
			m.watches.Set([]resource.Type{pods, jobs})
		}
		synctest.Wait()
		run, err := w.members["m0"].verifier.Start([]resource.Type{pods, jobs}, "")
		if err != nil {
			t.Fatal(err)
		}
		run, err = w.members["m0"].verifier.Wait(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, tv := range run.Types {
			if tv.Verdict != verify.Equal {
				t.Errorf("verdict %+v, want equal", tv)
			}
		}
	})
}

func TestRun_AListFails_TheVerdictSaysSo(t *testing.T) {
	inWorld(t, 0, []string{"m0", "m1"}, some, func(t *testing.T, w *world) {
		for _, m := range w.members {
			m.lister.mu.Lock()
			m.lister.err = errors.New("no rule")
			m.lister.mu.Unlock()
		}
		time.Sleep(time.Second)
		run, err := w.members["m0"].verifier.Start([]resource.Type{pods}, "pods")
		if err != nil {
			t.Fatal(err)
		}
		run, err = w.members["m0"].verifier.Wait(t.Context(), run.ID)
		if err != nil || len(run.Types) != 1 || run.Types[0].Verdict != verify.Failed || run.Types[0].Err == "" {
			t.Errorf("the run ended with %+v and %v, want a failure that says why", run, err)
		}
	})
}

func TestPart_ListDiffers_TheIndexIsEqualAfterwards(t *testing.T) {
	inWorld(t, 0, []string{"m0"}, some, func(t *testing.T, w *world) {
		m := w.members["m0"]
		time.Sleep(2 * time.Second)
		m.lose(func(string) bool { return true })
		put(w.server, pods, "new", "p1")
		w.server.Delete(pods.GVR(), "a", "p2")
		synctest.Wait()
		m.lose(nil)
		p := m.verifier.Part(pods, nil)
		version, err := m.lister.Pages(t.Context(), pods, watch.ListOptions{PageSize: 3}, func(rs []resource.Record) error { p.Page(rs); return nil })
		if err != nil {
			t.Fatal(err)
		}
		changed, gone, err := p.Settle(t.Context(), version)
		var names []string
		for _, r := range changed {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"new", "p1"}) || !slices.Equal(gone, []resource.ID{pods.ID("a", "p2")}) {
			t.Errorf("Settle returned %v, %v and %v", names, gone, err)
		}
		w.wantRight("after the part")
	})
}

// An event that the watch brings a moment after the list is no difference, nor is a later change.
func TestPart_WatchIsALittleBehind_NothingIsRepaired(t *testing.T) {
	inWorld(t, 0, []string{"m0"}, some, func(t *testing.T, w *world) {
		m := w.members["m0"]
		time.Sleep(2 * time.Second)
		p := m.verifier.Part(pods, nil)
		var late []resource.Record
		version, err := m.lister.Pages(t.Context(), pods, watch.ListOptions{}, func(rs []resource.Record) error {
			rs[0].ResourceVersion += 1000 // the index is behind
			late = append(late, rs[0])
			p.Page(rs)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.server.Delete(pods.GVR(), "a", "p5") // after the list
		synctest.Wait()
		time.AfterFunc(time.Second, func() { m.index.Upsert(pods, late[0]) })
		changed, gone, err := p.Settle(t.Context(), version)
		if err != nil || len(changed)+len(gone) > 0 || m.relists(pods) != 0 {
			t.Errorf("Settle returned %v, %v and %v, and the type was listed anew %d times", changed, gone, err, m.relists(pods))
		}
	})
}

func TestPart_OtherNamespacesAreNoDifference(t *testing.T) {
	inWorld(t, 0, []string{"m0"}, func(s *watchtest.Server) {
		some(s)
		s.Put(pods.GVR(), metav1.ObjectMeta{Namespace: "b", Name: "x"})
	}, func(t *testing.T, w *world) {
		m := w.members["m0"]
		time.Sleep(2 * time.Second)
		p := m.verifier.Part(pods, func(namespace, _ string) bool { return namespace == "a" })
		version, err := m.lister.Pages(t.Context(), pods, watch.ListOptions{Namespace: "a"}, func(rs []resource.Record) error { p.Page(rs); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if changed, gone, err := p.Settle(t.Context(), version); err != nil || len(changed)+len(gone) > 0 {
			t.Errorf("Settle returned %v, %v and %v", changed, gone, err)
		}
	})
}

// TestAMemberThatIsAloneTellsNobody: sums change every ten seconds, and a ConfigMap would be written as often
// without a reader.
func TestAMemberThatIsAloneTellsNobody(t *testing.T) {
	for _, names := range [][]string{{"m0"}, {"m0", "m1"}} {
		t.Run(fmt.Sprint(len(names), " members"), func(t *testing.T) {
			inWorld(t, 0, names, some, func(t *testing.T, w *world) {
				for i := range 6 {
					put(w.server, pods, fmt.Sprint("p", i))
					time.Sleep(10 * time.Second)
				}
				run, err := w.members["m0"].verifier.Start([]resource.Type{pods, jobs}, "")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if run, err = w.members["m0"].verifier.Wait(ctx, run.ID); err != nil || run.Done() != 2 {
					t.Errorf("%d of 2 types are verified, %v", run.Done(), err)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if told := w.members["m0"].tells > 0; told != (len(names) > 1) {
					t.Errorf("it has told the others: %t", told)
				}
			})
		})
	}
}
