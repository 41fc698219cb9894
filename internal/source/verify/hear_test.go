package verify_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

// two is a fleet of a and b. It implements the interfaces that a verifier needs, and does nothing.
type two struct{ relisted atomic.Int64 }

func (*two) Members() []string                             { return []string{"a", "b"} }
func (*two) Assignee(string) string                        { return "b" }
func (*two) Tell(context.Context, verify.Statement) error  { return nil }
func (f *two) Relist(context.Context, resource.Type) error { f.relisted.Add(1); return nil }

// TestDoubt_WithoutAClaim_TheTypeIsListedOnce, and again only after a pause.
func TestDoubt_WithoutAClaim_TheTypeIsListedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := index.New(nil)
		x.Replace(pods, nil, 20)
		f := &two{}
		v := verify.New(verify.Options{
			Member: "a", Index: x, Fleet: f, Teller: f, Relister: f, Watched: func() []verify.Watched { return []verify.Watched{{Type: pods}} },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		for want, after := range []time.Duration{time.Second, time.Second, 10 * time.Second} {
			v.Doubt(pods)
			v.Doubt(pods)
			time.Sleep(after)
			if got := f.relisted.Load(); got != int64(max(want, 1)) {
				t.Errorf("doubt %d: listed %d times", want, got)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestHear_BeforeATypeIsWatched_IsNotForgotten: a member has told its sums or a list once, before a noted that
// it watches the type. The member does not repeat them, because nothing changes.
func TestHear_BeforeATypeIsWatched_IsNotForgotten(t *testing.T) {
	sums := func(s index.Sum) verify.Statement {
		return verify.Statement{Sums: map[string]index.Sum{pods.String(): s}}
	}
	lists := func(s index.Sum) verify.Statement {
		return verify.Statement{Lists: map[string]map[string]verify.List{"": {pods.String(): {Sum: s}}}}
	}
	for name, tt := range map[string]struct {
		member   string
		version  uint64
		hash     uint64 // the difference from our hash
		say      func(index.Sum) verify.Statement
		relisted bool
	}{
		"sums which differ":                       {"b", 30, 1, sums, true},
		"sums which are equal":                    {"b", 30, 0, sums, false},
		"lists which differ":                      {"b", 30, 1, lists, true},
		"lists which are equal":                   {"b", 30, 0, lists, false},
		"sums that we do not reach":               {"b", 50, 1, sums, true},
		"sums of before our list":                 {"b", 10, 1, sums, false},
		"sums which differ, of one that is gone":  {"gone", 30, 1, sums, true},
		"sums of a time that is lost":             {"gone", 50, 1, sums, false},
		"lists that we do not reach, of one gone": {"gone", 50, 1, lists, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := index.New(nil)
				x.Replace(pods, []resource.Record{{Namespace: "n", Name: "p", ResourceVersion: 10}}, 20)
				x.Bookmark(pods, 40)
				said, ok := x.Sum(pods)
				if !ok {
					t.Fatal("the index has no sum")
				}
				said.Version, said.Hash = tt.version, said.Hash^tt.hash
				f, watched := &two{}, atomic.Bool{}
				v := verify.New(verify.Options{
					Member: "a", Index: x, Relister: f, Fleet: f, Teller: f,
					Watched: func() []verify.Watched {
						if !watched.Load() {
							return nil
						}
						return []verify.Watched{{Type: pods, Listed: time.Now()}}
					},
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- v.Run(ctx) }() // The goroutine ends with ctx.
				synctest.Wait()
				v.Hear(tt.member, tt.say(said), true)
				time.Sleep(time.Second)
				watched.Store(true)
				time.Sleep(time.Minute)
				if got := f.relisted.Load() > 0; got != tt.relisted {
					t.Errorf("the type was listed anew: %t, want %t", got, tt.relisted)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
