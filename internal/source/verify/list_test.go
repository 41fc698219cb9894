package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

// TestLists_EventsAreLost_AnIntervalLaterTheIndexIsRight: without peers, only a list tells.
func TestLists_EventsAreLost_AnIntervalLaterTheIndexIsRight(t *testing.T) {
	withOne(t, time.Hour, []string{"m0"}, func(t *testing.T, o *one) {
		o.lose(func() {
			o.put(pods, "new")
			o.put(pods, "p1")
			o.delete(jobs, "j3")
		})
		time.Sleep(time.Hour + time.Minute)
		o.wantRight("an hour later")
		want := []string{"j3 deleted=true", "new deleted=false", "p1 deleted=false"}
		if _, _, changes := o.did(); !slices.Equal(changes, want) {
			t.Errorf("a receiver was sent %v, want %v", changes, want)
		}
	})
}

// I5: an incomplete list proves nothing, and a single list proves little.
func TestLists_AnswersAreHalvesOrErrors_NothingIsDeleted(t *testing.T) {
	for name, meddle := range map[string]func(*one){
		"half":  func(o *one) { o.half = true },
		"error": func(o *one) { o.err = errors.New("in the middle") },
	} {
		t.Run(name, func(t *testing.T) {
			withOne(t, time.Hour, []string{"m0"}, func(t *testing.T, o *one) {
				o.set(func() { meddle(o) })
				time.Sleep(3 * time.Hour)
				lists, relists, changes := o.did()
				if lists == 0 {
					t.Fatal("nothing was listed: the test proves nothing")
				}
				if len(changes) > 0 || name == "error" && relists > 0 {
					t.Errorf("a receiver was sent %v, and types were listed anew %d times", changes, relists)
				}
				o.wantRight("afterwards")
			})
		})
	}
}

func TestLists_OneAnswerIsCutShort_TheSecondDecides(t *testing.T) {
	withOne(t, time.Hour, []string{"m0"}, func(t *testing.T, o *one) {
		o.set(func() {
			o.half = true
			heal := func() { o.half = false } // The list that is under way stays as it is.
			o.onPage = sync.OnceFunc(func() { o.set(heal) })
		})
		time.Sleep(2 * time.Hour)
		if lists, relists, _ := o.did(); relists != 0 || lists == 0 {
			t.Errorf("after %d lists, of which one was cut short, types were listed anew %d times", lists, relists)
		}
	})
}

func TestRun_AListFails_TheVerdictSaysSo(t *testing.T) {
	withOne(t, 0, []string{"m0", "m1"}, func(t *testing.T, o *one) {
		o.set(func() { o.err = errors.New("no rule") })
		run, err := o.verifier.Start([]resource.Type{pods}, "pods")
		if err != nil {
			t.Fatal(err)
		}
		run, err = o.verifier.Wait(t.Context(), run.ID)
		if err != nil || len(run.Types) != 1 || run.Types[0].Verdict != verify.Failed || run.Types[0].Err == "" {
			t.Errorf("the run ended with %+v and %v, want a failure that says why", run, err)
		}
	})
}

// TestTell_AMemberThatIsAlone_TellsNobody: sums change every ten seconds, and a ConfigMap would be written as often
// without a reader.
func TestTell_AMemberThatIsAlone_TellsNobody(t *testing.T) {
	for _, members := range [][]string{{"m0"}, {"m0", "m1"}} {
		t.Run(fmt.Sprint(len(members), " members"), func(t *testing.T) {
			withOne(t, 0, members, func(t *testing.T, o *one) {
				for i := range 6 {
					o.put(pods, fmt.Sprint("p", i))
					time.Sleep(10 * time.Second)
				}
				run, err := o.verifier.Start([]resource.Type{pods, jobs}, "")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				run, err = o.verifier.Wait(ctx, run.ID)
				if alone := len(members) == 1; alone != (err == nil && run.Done() == 2) {
					t.Errorf("%d of 2 types are verified, %v", run.Done(), err)
				}
				o.set(func() {
					if told := o.told > 0; told != (len(members) > 1) {
						t.Errorf("it has told the others: %t", told)
					}
				})
			})
		})
	}
}
