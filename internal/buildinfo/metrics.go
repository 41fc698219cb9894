package buildinfo

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Info is what a replica is.
type Info struct {
	// Version is that of the program.
	Version string
	// RingFormat and CheckpointFormat are the formats that the replica writes.
	RingFormat, CheckpointFormat string
}

// Register registers k8s_vectordb_sync_build_info, which is always 1.
func Register(reg prometheus.Registerer, i Info) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_build_info",
		Help: "1 for each replica, with its version and commit, its Go version, and the formats of its Leases and checkpoints.",
		ConstLabels: prometheus.Labels{
			"version": i.Version, "commit": commit(), "go_version": runtime.Version(), "ring_format": i.RingFormat, "checkpoint_format": i.CheckpointFormat,
		},
	}, func() float64 { return 1 }))
}

// commit is the revision that the program was built from, as the Go command has noted it; unknown outside a repository.
func commit() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
