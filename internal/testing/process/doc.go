// Package process runs binaries for tests and for the demo, and makes sure that none outlives them.
//
// A process appends its output to a log file. It has its own process group, so that Ctrl-C in a terminal does not
// reach it. Ctrl-C in the moment before it has that group ends it; see [DiedError]. On Linux, the kernel kills it when
// its parent dies for any reason. A test can stop it gently or not, pause it with SIGSTOP, and wait for it.
//
// All methods are safe for concurrent use. [Process.Stop] and [Process.Await] block.
package process
