package target_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// A member gives objects up while its search begins. The checkpoint reads deletions, and the search reads earlier
// checkpoints, while both are written. The race detector finds a missing lock.
func TestAMemberMayGiveUpWhileItsSearchBegins(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			c := &counting{got: map[resource.ID]bool{}}
			p := target.NewPeer(target.PeerOptions{
				Name: "m", Incarnation: "m.1", Maps: fake.NewClientset().CoreV1(), Sender: c, Settle: time.Second,
				Leases: func() []ownership.MemberStatus { return nil }, Pager: sim.History(0, nil),
			})
			p.Begin()
			<-p.Synced()
			p.Publish([]string{"m"}, nil, nil)
			p.Index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 1, Digest: 1}}, 100)
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					for n := range uint64(30) {
						time.Sleep(10 * time.Millisecond)
						p.Index.Bookmark(pods, 101+n)
						if i > 0 {
							p.Drain(func(resource.Type, resource.ID) bool { return false })
						}
					}
				})
			}
			all.Wait()
			p.Kill()
		})
	}
}
