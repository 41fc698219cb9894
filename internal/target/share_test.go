package target_test

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// TestTarget_MembersComeAndGo_DivideItsRequestsInFlight has a target learn it in each of the three ways: it is told, it
// takes something up, and it is added to a fleet.
func TestTarget_MembersComeAndGo_DivideItsRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := target.NewPeer(target.PeerOptions{
			Name: "m", Incarnation: "m.1", Maps: fake.NewClientset().CoreV1(), Sender: &counting{got: map[resource.ID]bool{}},
			Settle: time.Second, Leases: func() []ownership.MemberStatus { return nil }, Pager: sim.History(0, nil),
		})
		p.Begin()
		<-p.Synced()
		everything := func(resource.Type, resource.ID) bool { return true }
		nothing := func(resource.Type, resource.ID) bool { return false }
		for _, step := range []struct {
			name    string
			members []string
			learns  func()
			want    int
		}{
			{"told of another", []string{"m", "n"}, p.Shared, 1},
			{"told that it is gone", []string{"m"}, p.Shared, 2},
			{"added beside another", []string{"m", "n"}, func() { p.PutInto(new(target.Set)) }, 1},
			{"takes up all of it", []string{"m"}, func() { p.Gain(t.Context(), everything, everything, nothing) }, 2},
			{"told of more than there are requests", []string{"m", "n", "o"}, p.Shared, 1},
		} {
			p.Publish(step.members, nil, nil)
			step.learns()
			if got := p.Stats().Breaker.Limit; got != step.want {
				t.Errorf("%s: %d requests in flight, want %d", step.name, got, step.want)
			}
		}
		p.Kill()
	})
}
