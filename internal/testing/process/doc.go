// Package process runs binaries for tests and for the demo, and sees to it that none outlives them.
//
// A process appends what it prints to a log file, is in a process group of its own, so that Ctrl-C in a
// terminal does not reach it, and is killed by the kernel when its parent dies, on Linux, however that comes
// about. It can be stopped gently or not, paused with SIGSTOP and waited for.
//
// All methods are safe for concurrent use. [Process.Stop] and [Process.Await] block.
package process
