package wake_test

import (
	"testing"
	"testing/synctest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// A loop sees every change that is made before Wake, though it is woken less often than there are changes.
func TestSlot_ChangesComeWhileTheLoopIsBusy_TheLastIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slot, end, changes := wake.New(), make(chan struct{}), make(chan int, 100)
		var looks, seen int
		busy := make(chan struct{})
		go func() {
			for {
				select {
				case <-slot:
				case <-end:
					return
				}
				<-busy
				for looks++; len(changes) > 0; {
					seen = <-changes
				}
			}
		}()
		for i := range 100 {
			changes <- i
			slot.Wake()
			if i == 0 {
				synctest.Wait() // The loop has begun to look.
			}
		}
		close(busy)
		synctest.Wait()
		if seen != 99 || looks != 2 {
			t.Errorf("the loop has looked %d times and seen change %d, want 2 and 99", looks, seen)
		}
		close(end)
	})
}

func TestSlot_ZeroValue_WakesNobody(t *testing.T) {
	var slot wake.Slot
	slot.Wake()
	select {
	case <-slot:
		t.Error("a slot that was not made has woken a loop")
	default:
	}
}
