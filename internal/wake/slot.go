package wake

// Slot wakes the one loop that receives from it. Its zero value wakes nobody.
type Slot chan struct{}

// New returns a slot that is empty.
func New() Slot { return make(Slot, 1) }

// Wake makes the loop look once more, after a change whose effect it is to see. It does not block: if the slot is full,
// the loop has not looked since an earlier change, and will see this one, too.
func (s Slot) Wake() {
	select {
	case s <- struct{}{}:
	default:
	}
}
