// Command kubectl-vectordb_sync is kubectl vectordb-sync, a plugin of kubectl that looks at the replicas of
// k8s-vectordb-sync and starts resyncs; see docs/kubectl.md. Under the name kubectl_complete-vectordb_sync it
// completes its own command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
)

// version is the version of the program, which the linker sets.
var version = "dev"

// versionOf is the linker's version, or the one that go install fetched.
func versionOf(linked string, info *debug.BuildInfo) string {
	if linked != "dev" || info == nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return linked
	}
	return info.Main.Version
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	info, _ := debug.ReadBuildInfo()
	code := plugin.Main(ctx, os.Args, versionOf(version, info), genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	stop()
	os.Exit(code)
}
