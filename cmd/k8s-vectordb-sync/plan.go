package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/logging"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plan"
)

// planOptions are the flags of --plan.
type planOptions struct {
	wanted bool
	watch  time.Duration
	output string
}

func (o *planOptions) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.wanted, "plan", false, "print what these settings would send, and what it would cost, send nothing and exit")
	flags.DurationVar(&o.watch, "plan-watch", time.Minute, "how long --plan watches for changes; 0 for not at all")
	flags.StringVarP(&o.output, "output", "o", "", "how --plan prints: json, yaml, wide (default: a table)")
}

// run prints a plan. It needs no receiver, and writes nothing to the cluster.
func (o *planOptions) run(ctx context.Context) error {
	if !slices.Contains(plan.Outputs(), o.output) {
		return fmt.Errorf("--output=%s: want json, yaml or wide", o.output)
	}
	if o.watch < 0 {
		return fmt.Errorf("--plan-watch=%s: want a time such as 1m, or 0", o.watch)
	}
	cfg, err := config.ForPlan(os.Environ())
	for _, w := range cfg.Warnings {
		fmt.Fprintln(os.Stderr, "k8s-vectordb-sync: warning:", w)
	}
	if err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	restConfig, err := app.ClusterConfig()
	if err != nil {
		return err
	}
	restConfig.UserAgent = "k8s-vectordb-sync/" + version
	report, err := plan.Run(ctx, restConfig, plan.Options{Config: cfg, Watch: o.watch, Log: logging.New(cfg)})
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, o.output)
}
