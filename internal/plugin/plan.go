package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plan"
)

// planFlags say what to plan, and by which settings.
type planFlags struct {
	resources []string
	watch     time.Duration
	settings  settingsFlags
	format    output
}

// planReport is the output of kubectl vectordb-sync plan.
type planReport struct {
	plan.Report
	// From says where the settings come from.
	From string `json:"settingsFrom"`
	findings
}

func newPlan(c *connection, streams genericiooptions.IOStreams) *cobra.Command {
	o := &planFlags{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what settings would send, and what it would cost, and send nothing",
		Long: "Read the cluster as a replica reads it, with the rights of your kubeconfig, and show how many objects would be sent, by type and by\n" +
			"namespace, what is left out and why, and what restless objects would cost a day. Nothing is sent, and nothing is written to the cluster.\n\n" +
			"The settings are those of the release that runs, of manifests (-f), or the defaults; --env-file and --env change them. ResourceSyncConfigs in\n" +
			"the manifests are planned for as if they were applied. Each object of a first sync, and each change, is an embedding.\n\n" +
			"The exit code is 1 when something cannot be read, or a setting names what is not there.",
		Example: "  kubectl vectordb-sync plan\n" +
			"  kubectl vectordb-sync plan --env SKIP_CONTROLLED=true --watch 10m\n" +
			"  helm template sync charts/k8s-vectordb-sync -f values.yaml | kubectl vectordb-sync plan -f -\n" +
			"  kubectl vectordb-sync plan --as system:serviceaccount:k8s-vectordb-sync-system:k8s-vectordb-sync-controller-manager",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), c, streams) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.resources, "resource", nil, "Only these resources: deployments, deployments.apps or deployments.v1.apps")
	flags.DurationVar(&o.watch, "watch", time.Minute, "How long to watch for changes once everything is listed (0: not at all)")
	o.settings.addFlags(flags)
	o.format.addFlag(flags)
	_ = cmd.RegisterFlagCompletionFunc("resource", c.completeResources)
	return cmd
}

func (o *planFlags) run(ctx context.Context, c *connection, streams genericiooptions.IOStreams) error {
	if o.watch < 0 {
		return fmt.Errorf("--watch %s is no time to watch, want one such as 1m, or 0", o.watch)
	}
	restConfig, client, err := c.kubernetes()
	if err != nil {
		return err
	}
	s, err := o.settings.read(ctx, c, client, streams.In)
	if err != nil {
		return err
	}
	cfg, err := config.ForPlan(s.environ())
	if err != nil {
		return fmt.Errorf("the settings are not usable:\n%w", err)
	}
	report := planReport{From: s.from, findings: newFindings()}
	for _, w := range append(slices.Clone(s.notes), cfg.Warnings...) {
		report.note("%s", w)
	}
	restConfig.Timeout = 0 // it would bound each request, and a watch is one
	fmt.Fprintf(streams.ErrOut, "settings: %s\n", oneLine(s.from))
	report.Report, err = plan.Run(ctx, restConfig, plan.Options{
		Config: cfg, Watch: o.watch, Resources: o.resources, Namespace: *c.config.Namespace, Declared: s.declared, Log: logr.Discard(),
		Progress: progressOf(streams.ErrOut, o.watch),
	})
	if err != nil {
		return fmt.Errorf("planning: %w", err)
	}
	report.judge()
	return errors.Join(o.format.render(streams.Out, report, report.table), report.verdict())
}

// progressOf writes the progress of the lists, ten times at most, and then that it watches for changes.
func progressOf(w io.Writer, watch time.Duration) func(done, total int) {
	return func(done, total int) {
		if step := max(total/10, 1); done%step == 0 || done == total {
			fmt.Fprintf(w, "%d of %s listed\n", done, count(total, "type"))
		}
		if done == total && watch > 0 {
			fmt.Fprintf(w, "watching for changes for %s\n", watch)
		}
	}
}

// judge finds the reasons why the plan is incomplete.
func (r *planReport) judge() {
	for _, u := range r.Unreadable {
		r.problem("%s cannot be read (%s): %s", u.Resource, u.Reason, u.Error)
	}
	for _, one := range r.Receivers {
		if one.Problem != "" {
			r.problem("receiver %s cannot be served: %s", one.Name, one.Problem)
		}
	}
	for _, word := range r.Unknown {
		r.problem("nothing is served by the name of %s", word)
	}
	for _, u := range r.Unwatched {
		r.note("changes of %s were not watched to the end: %s", u.Resource, u.Error)
	}
}

func (r planReport) items() (rows any, names []string) {
	all := []plan.TypeReport{}
	for _, one := range r.Receivers {
		all = append(all, one.Types...)
	}
	for _, t := range all {
		names = append(names, groupResource(t.Resource))
	}
	return all, names
}

func (r *planReport) table(w io.Writer, wide bool) {
	r.Table(w, wide)
	r.write(w)
}
