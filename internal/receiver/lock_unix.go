//go:build unix

package receiver

import (
	"os"
	"syscall"
)

// lockFile holds f for this process until it is closed; the kernel lets go of it when the process dies.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
