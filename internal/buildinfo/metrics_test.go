package buildinfo_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/buildinfo"
)

// TestRegister_SaysWhatItIs reads the one series. Tests are built without a revision.
func TestRegister_SaysWhatItIs(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	buildinfo.Register(reg, buildinfo.Info{Version: "v1.2.3", RingFormat: "consistent-v1/4093", CheckpointFormat: "3"})
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP k8s_vectordb_sync_build_info 1 for each replica, with its version and commit, its Go version, and the formats of its Leases and checkpoints.
# TYPE k8s_vectordb_sync_build_info gauge
k8s_vectordb_sync_build_info{checkpoint_format="3",commit="unknown",go_version="`+runtime.Version()+`",ring_format="consistent-v1/4093",version="v1.2.3"} 1
`)); err != nil {
		t.Error(err)
	}
}
