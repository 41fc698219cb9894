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

// two is a fleet of a and b. It implements what a verifier needs of others, and does nothing.
type two struct{ relisted atomic.Int64 }

func (*two) Members() []string                             { return []string{"a", "b"} }
func (*two) Assignee(string) string                        { return "b" }
func (*two) Tell(context.Context, verify.Statement) error  { return nil }
func (f *two) Relist(context.Context, resource.Type) error { f.relisted.Add(1); return nil }

// TestHear_BeforeATypeIsWatched_IsNotForgotten: b has told its sums once, before a took note that it watches the type,
// and says nothing more, because nothing changes.
func TestHear_BeforeATypeIsWatched_IsNotForgotten(t *testing.T) {
	for name, hash := range map[string]uint64{"which differ": 1, "which are equal": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := index.New(nil)
				x.Replace(pods, []resource.Record{{Namespace: "n", Name: "p", ResourceVersion: 10}}, 20)
				x.Bookmark(pods, 40)
				said, ok := x.Sum(pods)
				if !ok {
					t.Fatal("the index has no sum")
				}
				said.Version, said.Hash = 30, said.Hash^hash
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
				go func() { done <- v.Run(ctx) }() // Ends with ctx.
				synctest.Wait()
				v.Hear("b", verify.Statement{Sums: map[string]index.Sum{pods.String(): said}}, true)
				time.Sleep(time.Second)
				watched.Store(true)
				time.Sleep(time.Minute)
				if got, want := f.relisted.Load() > 0, hash != 0; got != want {
					t.Errorf("the type was listed anew: %t, want %t", got, want)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
