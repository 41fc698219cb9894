package process

import "syscall"

// sysProcAttr puts a child into a process group of its own, so that Ctrl-C in a terminal reaches only us and things end
// in order, and has the kernel kill it when we die.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
