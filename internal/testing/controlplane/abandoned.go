package controlplane

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tempPrefix begins the names of temporary directories. The ID of the process that made one follows.
const tempPrefix = "k8s-vectordb-sync-controlplane-"

// removeAbandoned removes the temporary directories of processes that are gone: a process that was killed could not
// do it. It leaves a directory that belongs to another user, whose next process removes it.
func removeAbandoned(temp string) {
	found, err := filepath.Glob(filepath.Join(temp, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), tempPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 0 {
			continue
		}
		if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
}
