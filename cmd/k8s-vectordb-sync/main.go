// Command k8s-vectordb-sync brings a receiver to the state of a Kubernetes cluster and keeps it there. The
// environment configures it; see docs/configuration.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/check"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/logging"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// version is the version of the program, which the linker sets.
var version = "dev"

func main() {
	profiled := runtime.MemProfileRate
	runtime.MemProfileRate = 0 // Unless a caller may ask for a profile: its buckets take 1.5 MB.
	printVersion := pflag.Bool("version", false, "print the version and exit")
	endpoints := pflag.StringArray("check", nil, "ask this URL until it answers well, for a minute at most, and exit; may be repeated")
	var o planOptions
	o.addFlags(pflag.CommandLine)
	pflag.Usage = func() {
		fmt.Fprintln(os.Stderr, "k8s-vectordb-sync is configured by environment variables; see docs/configuration.md.")
		pflag.PrintDefaults()
	}
	pflag.Parse()
	if *printVersion {
		fmt.Println(version) //nolint:forbidigo // This is what was asked for.
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	do := func(ctx context.Context) error { return run(ctx, profiled) }
	switch {
	case o.wanted:
		do = o.run
	case len(*endpoints) > 0:
		do = func(ctx context.Context) error { return checkEndpoints(ctx, *endpoints) }
	}
	if err := do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "k8s-vectordb-sync:", err)
		os.Exit(1)
	}
}

// run runs a replica. profiled is the rate at which allocations are recorded for a profile, if the settings allow
// one.
func run(ctx context.Context, profiled int) error {
	cfg, err := config.FromEnviron(os.Environ())
	if err != nil {
		for _, w := range cfg.Warnings {
			fmt.Fprintln(os.Stderr, "k8s-vectordb-sync: warning:", w)
		}
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	if cfg.DebugEndpoints {
		runtime.MemProfileRate = profiled
	}
	restConfig, err := app.ClusterConfig()
	if err != nil {
		return err
	}
	log := logging.New(cfg)
	tracer, err := tracing.FromEnviron(os.Getenv, tracing.Options{Version: version, Member: cfg.PodName, Log: log.WithName("tracing")})
	if err != nil {
		return fmt.Errorf("the configuration of tracing is not usable:\n%w", err)
	}
	defer tracer.Close()
	return app.Run(ctx, cfg, restConfig, app.Options{Version: version, Tracer: tracer, Log: log})
}

// checkPatience is how long an endpoint may take to answer well: helm test may follow an installation at once.
const checkPatience = time.Minute

// checkEndpoints is the command of helm test.
func checkEndpoints(ctx context.Context, urls []string) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	return check.Run(ctx, urls, check.Options{Out: os.Stdout})
}
