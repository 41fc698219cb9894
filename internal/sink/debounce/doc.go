// Package debounce tells which keys have been quiet for long enough, and when to look again.
//
// A key becomes due when it has not been touched for the quiet time (a trailing debounce: each touch starts the
// wait anew). It also becomes due when the max wait has passed since its first touch, so that a key that never
// rests is not starved.
//
// Both windows are constant, so keys become due in the order in which they were touched. Hence two linked lists
// replace a timer for each key: every operation is O(1), and the caller needs one timer in all.
//
// The package is pure: now is an argument, and there is no clock and no goroutine. A [Window] is not safe for
// concurrent use.
package debounce
