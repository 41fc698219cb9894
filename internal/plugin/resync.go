package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// resyncFlags say what to resync, and whether to wait for it.
type resyncFlags struct {
	resource, replica string
	force, wait       bool
	timeout           time.Duration
	format            output
}

// query returns the parameters of the request. namespace is empty for all.
func (o *resyncFlags) query(namespace string) url.Values {
	q := url.Values{"wait": {"false"}, "scope": {string(api.ScopeFleet)}}
	if o.replica != "" {
		q.Set("scope", string(api.ScopeReplica))
	}
	if o.resource != "" {
		q.Set("resource", o.resource)
	}
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	if o.force {
		q.Set("force", "true")
	}
	return q
}

func newResync(c *connection, streams genericiooptions.IOStreams) *cobra.Command {
	o := &resyncFlags{wait: true}
	cmd := &cobra.Command{
		Use:   "resync",
		Short: "Read the cluster again and send it again",
		Long: "Read the cluster again, send it to the receivers again, and wait for the end. Without flags it is everything, by all\n" +
			"replicas together: each object is an embedding that somebody pays for. Interrupting the command does not stop the resync.\n\n" +
			"--namespace limits it to objects of one namespace (_cluster: cluster-scoped objects); the namespace of the context does not.\n" +
			"The exit code is 1 when the resync failed, in whole or in part, or did not end in time.",
		Example: "  kubectl vectordb-sync resync --resource deployments.apps -n shop\n" +
			"  kubectl vectordb-sync resync --replica k8s-vectordb-sync-0 --wait=false",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), c, streams) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.resource, "resource", "", "One resource: deployments, deployments.apps or deployments.v1.apps (default: all)")
	flags.StringVar(&o.replica, "replica", "", "Only what this replica owns, by this replica (default: everything, by all)")
	flags.BoolVar(&o.force, "force", false, "Delete orphans even where they are so many that it looks like a mistake")
	flags.BoolVar(&o.wait, "wait", true, "Wait for the end")
	flags.DurationVar(&o.timeout, "timeout", 0, "How long to wait for the end (0: as long as it takes)")
	o.format.addFlag(flags)
	_ = cmd.RegisterFlagCompletionFunc("resource", c.completeResources)
	_ = cmd.RegisterFlagCompletionFunc("replica", c.completeReplicas)
	return cmd
}

func (o *resyncFlags) run(ctx context.Context, c *connection, streams genericiooptions.IOStreams) error {
	all, err := c.fleet(ctx, true)
	if err != nil {
		return err
	}
	defer all.close()
	f := all
	if o.replica != "" {
		if f, err = all.only(o.replica); err != nil {
			return err
		}
	}
	op, asked, err := startResync(ctx, f, o.query(*c.config.Namespace))
	if err != nil {
		return fmt.Errorf("starting a resync: %w", err)
	}
	if !o.wait {
		return o.show(streams.Out, op)
	}
	waiting := ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	op, err = follow(waiting, f, asked, op, newProgress(streams.ErrOut))
	switch {
	case err == nil:
		return errors.Join(o.show(streams.Out, op), resyncVerdict(op))
	case waiting.Err() != nil && ctx.Err() == nil:
		return &exitError{codeWrong, fmt.Sprintf("resync %s is not done after %s: %s; it goes on, and kubectl vectordb-sync resyncs shows it",
			op.ID, o.timeout, progressText(op))}
	case ctx.Err() != nil:
		return &exitError{codeInterrupted, fmt.Sprintf("resync %s goes on: %s; kubectl vectordb-sync resyncs shows it", op.ID, progressText(op))}
	default:
		return err
	}
}

// shownResync is an operation in the form of the output.
type shownResync struct{ api.Operation }

func (r shownResync) items() (rows any, names []string) {
	return []api.Operation{r.Operation}, []string{"resync/" + r.ID}
}

func (o *resyncFlags) show(w io.Writer, op api.Operation) error {
	return o.format.render(w, shownResync{op}, func(w io.Writer, wide bool) {
		fmt.Fprint(w, resyncText(op))
		if wide && len(op.Shares) > 0 {
			t := table{columns: []string{"MEMBER", "PARTS", "OBJECTS"}}
			for _, s := range op.Shares {
				t.add(s.Member, progressCell(s.Parts), progressCell(s.Resources))
			}
			fmt.Fprintln(w)
			t.write(w, true)
		}
	})
}

// progressCell is the progress in a cell of a table.
func progressCell(p api.Progress) string { return fmt.Sprintf("%d/%d", p.Done, max(p.Done, p.Total)) }

// resyncVerdict is [wrongError] for a resync that could not cover everything.
func resyncVerdict(op api.Operation) error {
	if op.Status == api.OperationFailed || len(op.Failed) > 0 || op.OrphansHeld > 0 {
		return wrongError{}
	}
	return nil
}

// resyncText says in one line what a resync did, or does, and in further lines what it could not do.
func resyncText(op api.Operation) string {
	var b strings.Builder
	switch op.Status {
	case api.OperationDone, api.OperationFailed:
		fmt.Fprintf(&b, "resync %s %s: %s of %s", op.ID, op.Status, count(op.Resources.Done, "object"), count(op.Types.Done, "type"))
		if op.FinishedAt != nil {
			fmt.Fprintf(&b, " in %s", age(op.FinishedAt.Sub(op.StartedAt)))
		}
	default:
		fmt.Fprintf(&b, "resync %s is running: %s", op.ID, progressText(op))
	}
	if op.OrphansDeleted > 0 {
		fmt.Fprintf(&b, ", %s deleted", count(op.OrphansDeleted, "orphan"))
	}
	b.WriteByte('\n')
	if op.Message != "" {
		fmt.Fprintf(&b, "  - %s\n", oneLine(op.Message))
	}
	if op.OrphansHeld > 0 {
		fmt.Fprintf(&b, "  - %s held back, suspiciously many; look at them, and use --force if they are to go\n", count(op.OrphansHeld, "orphan"))
	}
	for _, f := range op.Failed {
		fmt.Fprintf(&b, "  - %s was left out: %s\n", oneLine(f.Type), oneLine(f.Error))
	}
	return b.String()
}

// resyncsReport is the output of kubectl vectordb-sync resyncs.
type resyncsReport struct {
	Operations []api.Operation `json:"operations"`
	findings
}

func (r resyncsReport) items() (rows any, names []string) {
	for _, op := range r.Operations {
		names = append(names, "resync/"+op.ID)
	}
	return r.Operations, names
}

// mergeResyncs joins the operations that replicas know, newest first. If two know one operation, the later state
// wins.
func mergeResyncs(lists ...[]api.Operation) []api.Operation {
	merged := []api.Operation{}
	for _, list := range lists {
		for _, op := range list {
			i := slices.IndexFunc(merged, func(o api.Operation) bool { return o.ID == op.ID })
			switch {
			case i < 0:
				merged = append(merged, op)
			case op.Status.Finished() && !merged[i].Status.Finished(),
				op.Status.Finished() == merged[i].Status.Finished() && op.Resources.Done > merged[i].Resources.Done:
				merged[i] = op
			}
		}
	}
	slices.SortStableFunc(merged, func(x, y api.Operation) int { return y.StartedAt.Compare(x.StartedAt) })
	return merged
}

func newResyncs(c *connection, out io.Writer) *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "resyncs",
		Short: "List running and recent resyncs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := c.fleet(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer f.close()
			report := resyncsReport{findings: newFindings()}
			type answer struct {
				ops []api.Operation
				err error
			}
			var lists [][]api.Operation
			for i, a := range each(cmd.Context(), f, func(ctx context.Context, r *replica) answer {
				list, err := get[api.Operations](ctx, r, "/api/v1/resync")
				return answer{list.Operations, err}
			}) {
				if a.err != nil {
					report.problem("%s does not answer: %v", f.replicas[i].name, a.err)
				}
				lists = append(lists, a.ops)
			}
			report.Operations = mergeResyncs(lists...)
			if err := format.render(out, report, report.table); err != nil {
				return err
			}
			return report.verdict()
		},
	}
	format.addFlag(cmd.Flags())
	return cmd
}

func (r *resyncsReport) table(w io.Writer, wide bool) {
	t := table{columns: []string{"ID", "STATUS", "TRIGGER", "SCOPE", "RESOURCE", "NAMESPACE", "OBJECTS", "TYPES", "STARTED", "TOOK", "+MEMBER", "+MESSAGE"}}
	for _, op := range r.Operations {
		took := none
		if op.FinishedAt != nil {
			took = age(op.FinishedAt.Sub(op.StartedAt))
		}
		t.add(op.ID, string(op.Status), string(op.Trigger), string(op.Scope), orNone(op.Resource), orNone(op.Namespace),
			progressCell(op.Resources), progressCell(op.Types),
			op.StartedAt.UTC().Format(time.RFC3339), took, op.Member, orNone(op.Message))
	}
	t.write(w, wide)
	r.write(w)
}
