package target_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// deleting counts deletions, too.
type deleting struct {
	counting

	deletions sync.Mutex // guards deleted
	deleted   int
}

func (d *deleting) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	d.deletions.Lock()
	d.deleted += len(r.Deletes)
	d.deletions.Unlock()
	return d.counting.Send(ctx, r)
}

// A type goes: its CustomResourceDefinition is deleted, or it is served under another version. Its owners delete
// the documents, and the others forget their parked objects. No document is sent again after a crash.
func TestATypeThatIsRemovedLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 600
		d := &deleting{counting: counting{got: map[resource.ID]bool{}}}
		f := newFleet(t, nil, scattered(objects))
		f.sender = d
		names := []string{"m0", "m1", "m2"}
		for _, name := range names {
			f.join(name)
		}
		other := resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
		bookmark := func(i uint64) {
			for _, p := range f.peers {
				p.Objects().Bookmark(other, i)
			}
		}
		for i, name := range names {
			f.peers[name].Objects().Replace(other, nil, 5000)
			f.peers[name].Objects().Bookmark(pods, uint64(7000+i)) // Each has seen the type up to another version.
		}
		time.Sleep(30 * time.Second)
		for _, p := range f.peers {
			p.Objects().Remove(pods)
		}
		for i := range uint64(12) {
			time.Sleep(10 * time.Second)
			bookmark(6000 + i)
		}
		for name, p := range f.peers {
			if s := p.Stats(); s.Parked > 0 || s.Dirty > 0 {
				t.Errorf("two minutes later %s has %d parked and %d dirty", name, s.Parked, s.Dirty)
			}
		}
		if d.deleted != objects {
			t.Errorf("%d deletions were sent for %d documents", d.deleted, objects)
		}
		f.peers["m0"].Kill()
		delete(f.peers, "m0")
		sim.HandOver(f.t.Context(), f.peers, f.view, []string{"m1", "m2"}, map[string]bool{"m0": true})
		time.Sleep(2 * time.Minute)
		if again := d.deleted - objects; again > 0 {
			t.Errorf("%d deletions are sent again after a crash", again)
		}
	})
}
