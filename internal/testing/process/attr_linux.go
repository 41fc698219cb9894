package process

import "syscall"

// sysProcAttr puts a child into a process group of its own, so that Ctrl-C in a terminal reaches only this process,
// and processes end in order. It also has the kernel kill the child when this process dies.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
