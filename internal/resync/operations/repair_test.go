package operations_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// TestForceReachesWhateverEachMemberHoldsBack has two members repair. b found nine documents too many of a type
// in an earlier part, and holds their repairs back.
func TestForceReachesWhateverEachMemberHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 12, "a", "b")
		f.locked(func() {
			f.repair = func(member string, op operations.Request, part operations.Part) operations.Repair {
				switch {
				case part.Held && member == "b":
					return operations.Repair{Deleted: 9}
				case part.Key == "things3.v1" && op.Force:
					return operations.Repair{Deleted: 5}
				case part.Key == "things3.v1":
					return operations.Repair{Deleted: 2, Held: 3}
				default:
					return operations.Repair{}
				}
			}
		})
		end := f.wait("b", f.begin("a", f.full()).ID)
		if want := (operations.Repair{Deleted: 2, Held: 3}); end.Repair != want {
			t.Errorf("without force: %+v, want %+v", end.Repair, want)
		}
		if slices.ContainsFunc(f.log(), func(s step) bool { return s.part == "held/b" }) {
			t.Error("without force a member has repaired what it held back")
		}

		forced := f.full()
		forced.Force = true
		end = f.wait("b", f.begin("a", forced).ID)
		time.Sleep(time.Minute) // until it is closed
		for _, member := range []string{"a", "b"} {
			o, ok := f.engines[member].Get(end.ID)
			if want := (operations.Repair{Deleted: 14}); !ok || o.Repair != want || o.Types != 12 || o.TypesDone != 12 || o.FailedTypes != 0 {
				t.Errorf("with force %s says %+v, want %+v", member, o, want)
			}
		}
		for _, member := range []string{"a", "b"} {
			ran := 0
			for _, s := range f.log() {
				if s.part == "held/"+member && s.ended {
					ran++
					if s.member != member {
						t.Errorf("%s repaired what %s held back", s.member, member)
					}
				}
			}
			if ran != 1 {
				t.Errorf("%s repaired %d times what it held back, want once", member, ran)
			}
		}
	})
}

// TestForceForOneReplicaIsItsOwn asks one member for its share.
func TestForceForOneReplicaIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3, "a", "b")
		r := f.full()
		r.Force, r.Scope = true, operations.Replica
		f.wait("b", f.begin("a", r).ID)
		held := 0
		for _, s := range f.log() {
			if s.ended && s.part == "held/a" {
				held++
			}
			if s.member != "a" {
				t.Errorf("%s ran %s", s.member, s.part)
			}
		}
		if held != 1 {
			t.Errorf("what a holds back was repaired %d times, want once", held)
		}
	})
}
