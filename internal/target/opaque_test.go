package target_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// An aggregated API gives versions that are no numbers. The checkpoint names its delivered objects, so that no
// member keeps them parked. No member sends them again when it joins, after a crash, or after a restart of all.
func TestOfATypeWithoutVersionsNothingIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 200
		var list []resource.Record
		for i := range objects {
			list = append(list, resource.Record{Namespace: "a", Name: fmt.Sprintf("o%05d", i), Digest: uint64(i + 1), Body: "body"})
		}
		d := &deleting{counting: counting{got: map[resource.ID]bool{}}}
		f := newFleet(t, nil, list)
		f.sender, f.opaque = d, true
		want := func(when string, sent, deleted int) {
			t.Helper()
			time.Sleep(30 * time.Second)
			if _, got := d.sum(); got != sent || d.deleted != deleted {
				t.Errorf("%s: %d upserts and %d deletions were sent, want %d and %d", when, got, d.deleted, sent, deleted)
			}
			for name, p := range f.peers {
				if s := p.Stats(); s.Parked > 0 {
					t.Errorf("%s: %s has %d parked", when, name, s.Parked)
				}
			}
		}
		f.join("m0")
		want("one member", objects, 0)
		f.join("m1")
		want("another joins", objects, 0)
		for _, p := range f.peers {
			p.Objects().Upsert(pods, resource.Record{Namespace: "a", Name: "o00001", Digest: 1000, Body: "other"})
			p.Objects().Delete(pods, "a", "o00002", 0)
		}
		want("an object changes, another is deleted", objects+1, 1)
		f.list[1].Digest = 1000
		f.list = append(f.list[:2], f.list[3:]...)
		f.peers["m0"].Kill()
		delete(f.peers, "m0")
		sim.HandOver(f.t.Context(), f.peers, f.view, []string{"m1"}, map[string]bool{"m0": true})
		f.view = []string{"m1"}
		want("after a crash", objects+1, 1)
		f.peers["m1"].Kill()
		f.peers, f.view, f.leases = map[string]sim.Peer{}, nil, nil
		f.join("m2")
		want("after a restart of all", objects+1, 1)
	})
}
