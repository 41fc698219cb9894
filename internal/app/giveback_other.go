//go:build !linux

package app

import "runtime/debug"

// giveBack returns memory of the heap to the system.
func giveBack() { debug.FreeOSMemory() }
