package target_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// TestHandOver_OwnerHadLostAnEvent_SuccessorSendsIt: the owner's checkpoint covers a change that it has never
// seen. The owner ends before any member has repaired that. Changes that it has seen and delivered are not sent
// again.
func TestHandOver_OwnerHadLostAnEvent_SuccessorSendsIt(t *testing.T) {
	for name, crash := range map[string]bool{"killed": true, "leaves": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const objects = 60
				f := newFleet(t, &counting{got: map[resource.ID]bool{}}, scattered(objects))
				f.join("m0")
				f.join("m1")
				time.Sleep(30 * time.Second) // in virtual time: all objects are sent and reported
				m0, m1 := f.peers["m0"], f.peers["m1"]
				for i := range uint64(20) {
					r := sim.Object(fmt.Sprintf("new%02d", i), 200+i)
					m1.Objects().Upsert(pods, r)
					if i != 7 && i != 8 && i != 9 {
						m0.Objects().Upsert(pods, r)
					}
				}
				time.Sleep(30 * time.Second)
				if crash {
					m0.Kill()
				} else {
					m0.Leave(t.Context())
				}
				sim.HandOver(t.Context(), f.peers, f.view, []string{"m1"}, map[string]bool{"m0": crash})
				time.Sleep(10 * time.Second)
				if got, sent := f.receiver.sum(); got != objects+20 || sent < got || sent > objects+2*20 {
					t.Errorf("of %d objects %d were sent, %d times in all", objects+20, got, sent)
				}
			})
		})
	}
}
