package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Version names the directory of the cache that holds the binaries. It is the version of Kubernetes and that of etcd
// in hack/controlplane/go.mod; a test compares the two.
const Version = "v1.37.2-etcd-v3.7.0"

// AssetsError names the places where the binaries were expected, and says how to get them.
type AssetsError struct {
	// Missing are the files that were not found.
	Missing []string
}

// Error names every file that is missing.
func (e *AssetsError) Error() string {
	return "no control plane to test with: run `make controlplane` (7 to 12 minutes the first time, then cached), " +
		"or set KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver and kubectl; not found: " +
		strings.Join(e.Missing, ", ")
}

// FindAssets returns the directory that holds etcd, kube-apiserver and kubectl: $KUBEBUILDER_ASSETS if it is set,
// otherwise the cache of `make controlplane`. It fails with an [*AssetsError] when one of them is missing.
func FindAssets() (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("finding the cache of control plane binaries: %w", err)
			}
			cache = filepath.Join(home, ".cache")
		}
		dir = filepath.Join(cache, "k8s-vectordb-sync", "controlplane", Version)
	}
	var missing []string
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			missing = append(missing, path)
		}
	}
	if len(missing) > 0 {
		return "", &AssetsError{Missing: missing}
	}
	return dir, nil
}
