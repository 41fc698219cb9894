//go:build unix && !linux

package process

import "syscall"

// sysProcAttr puts a child into a process group of its own. Only Linux ties its life to that of this process:
// elsewhere a killed test leaves its control plane behind.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
