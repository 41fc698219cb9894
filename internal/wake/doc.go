// Package wake wakes a loop that has something to do. State is kept in a map that the loop reads as a whole, so there
// is no queue of events: however many changes come while the loop is busy, they wake it once.
//
//	state, under a mutex          Slot, of one place
//	┌──────────────┐              ┌───┐   <-slot
//	│ what changed │ ──Wake────▶  │ ● │ ──────────▶ the loop reads the state again
//	└──────────────┘              └───┘
//
// It holds no state and starts no goroutine. Several goroutines may use a Slot.
package wake
