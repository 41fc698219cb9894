package watch_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// kinds returns n types.
func kinds(n int) (types []resource.Type) {
	for i := range n {
		types = append(types, resource.Type{Group: "example.com", Version: "v1", Resource: fmt.Sprintf("kind%02d", i), Kind: "Kind"})
	}
	return types
}

// inPhase counts the types that are in a phase.
func inPhase(m *watch.Manager, p watch.Phase) (n int) {
	for _, s := range m.Status() {
		if s.Phase == p {
			n++
		}
	}
	return n
}

// TestReach_ServerAnswersOneType_TheOthersGoOnWithinSeconds: after an outage each type waits for up to half a
// minute, and the first answer wakes the others. That includes types that follow, and types that have never been
// listed.
func TestReach_ServerAnswersOneType_TheOthersGoOnWithinSeconds(t *testing.T) {
	types := kinds(60)
	for name, before := range map[string]bool{"they were listed before": true, "they were not": false} {
		t.Run(name, func(t *testing.T) {
			down := func(s *watchtest.Server, err error) {
				for _, typ := range types {
					s.Fail(typ.GVR(), err)
				}
			}
			inBubble(t, watch.Options{}, func(s *watchtest.Server) {
				if !before {
					down(s, refused())
				}
			}, func(t *testing.T, b *bubble) {
				b.Set(types)
				time.Sleep(time.Minute)
				down(b.server, refused())
				time.Sleep(10 * time.Minute)
				down(b.server, nil)
				for inPhase(b.Manager, watch.Synced) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(2500 * time.Millisecond)
				synctest.Wait()
				if got := inPhase(b.Manager, watch.Synced); got != len(types) {
					t.Errorf("%d of %d types are synced 2.5 s after the first of them", got, len(types))
				}
			})
		})
	}
}

// TestReach_TypeFailsForReasonsOfItsOwn_ItKeepsItsPauses has one type fail, with an error or without an answer,
// while the server answers others all the time.
func TestReach_TypeFailsForReasonsOfItsOwn_ItKeepsItsPauses(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable": unavailable(), "throttled": apierrors.NewTooManyRequests("later", 1), "refused": refused(),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Fail(widgets.GVR(), err) }, func(t *testing.T, b *bubble) {
				b.Set([]resource.Type{widgets, pods, nodes})
				time.Sleep(time.Minute)
				before := b.server.Requests(widgets.GVR())
				for range 10 * 60 {
					time.Sleep(time.Second)
					b.server.EndWatches(pods.GVR())
					b.server.EndWatches(nodes.GVR())
				}
				after := b.server.Requests(widgets.GVR())
				if n := after.Streams - before.Streams; n < 25 || n > 70 {
					t.Errorf("%d attempts in ten minutes, want some eight in each two minutes", n)
				}
			})
		})
	}
}
