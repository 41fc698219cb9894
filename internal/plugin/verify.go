package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// verifyFlags say what to verify, and whether to wait for it.
type verifyFlags struct {
	resource string
	wait     bool
	timeout  time.Duration
	format   output
}

func newVerify(c *connection, streams genericiooptions.IOStreams) *cobra.Command {
	o := &verifyFlags{wait: true}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Hold what all replicas know against the cluster",
		Long: "List each type once and have every replica compare what it knows with that. A replica that differs has lost an event: it lists\n" +
			"the type anew, and what differs is sent. Nothing else is sent, so this costs a list of each type and no embedding.\n\n" +
			"The exit code is 1 when some type has no verdict, or did not get it in time. A difference that was repaired is no failure.",
		Example: "  kubectl vectordb-sync verify\n  kubectl vectordb-sync verify --resource deployments.apps",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), c, streams) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.resource, "resource", "", "One resource: deployments, deployments.apps or deployments.v1.apps (default: all)")
	flags.BoolVar(&o.wait, "wait", true, "Wait for the verdict")
	flags.DurationVar(&o.timeout, "timeout", 0, "How long to wait for it (0: as long as it takes)")
	o.format.addFlag(flags)
	_ = cmd.RegisterFlagCompletionFunc("resource", c.completeResources)
	return cmd
}

func (o *verifyFlags) run(ctx context.Context, c *connection, streams genericiooptions.IOStreams) error {
	f, err := c.fleet(ctx, true)
	if err != nil {
		return err
	}
	defer f.close()
	q := url.Values{"wait": {"false"}}
	if o.resource != "" {
		q.Set("resource", o.resource)
	}
	v, asked, err := anyOf(ctx, f, func(ctx context.Context, r *replica) (api.Verification, error) {
		return ask[api.Verification](ctx, r, http.MethodPost, "/api/v1/verify?"+q.Encode())
	})
	if err != nil {
		return fmt.Errorf("starting a verification: %w", err)
	}
	if o.wait {
		waiting := ctx
		if o.timeout > 0 {
			var cancel context.CancelFunc
			waiting, cancel = context.WithTimeout(ctx, o.timeout)
			defer cancel()
		}
		v, err = followVerification(waiting, f, asked, v, streams.ErrOut)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return &exitError{codeInterrupted, fmt.Sprintf("verification %s goes on: %s", v.ID, v.Message)}
		case waiting.Err() != nil:
			return &exitError{codeWrong, fmt.Sprintf("verification %s is not done after %s: %s; it goes on", v.ID, o.timeout, v.Message)}
		default:
			return err
		}
	}
	return errors.Join(o.show(streams.Out, v), verifyVerdict(v))
}

// followVerification reads a verification until it has finished, and shows each step. Any replica can be asked.
func followVerification(ctx context.Context, f *fleet, first *replica, v api.Verification, progress io.Writer) (api.Verification, error) {
	heard, shown := time.Now(), -1
	for {
		if v.Types.Done != shown {
			shown = v.Types.Done
			fmt.Fprintf(progress, "%d of %s verified\n", v.Types.Done, count(v.Types.Total, "type"))
		}
		if v.Status.Finished() {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(followPause):
		}
		now, err := readVerification(ctx, f, first, v.ID)
		switch {
		case err == nil:
			v, heard = now, time.Now()
		case ctx.Err() != nil:
			return v, ctx.Err()
		case time.Since(heard) > followPatience:
			return v, fmt.Errorf("following verification %s: %w", v.ID, err)
		}
	}
}

// readVerification asks the replica that was asked first, and then all others.
func readVerification(ctx context.Context, f *fleet, first *replica, id string) (api.Verification, error) {
	order := *f
	order.replicas = []*replica{first}
	for _, r := range f.replicas {
		if r != first {
			order.replicas = append(order.replicas, r)
		}
	}
	v, _, err := anyOf(ctx, &order, func(ctx context.Context, r *replica) (api.Verification, error) {
		return get[api.Verification](ctx, r, "/api/v1/verify/"+url.PathEscape(id))
	})
	return v, err
}

func (o *verifyFlags) show(w io.Writer, v api.Verification) error {
	return o.format.render(w, v, func(w io.Writer, wide bool) {
		fmt.Fprintf(w, "verification %s %s: %s\n", v.ID, v.Status, oneLine(v.Message))
		t := table{columns: []string{"TYPE", "VERDICT", "OBJECTS", "REPAIRED BY", "WHY NOT"}}
		for _, tv := range v.Verdicts {
			if wide || tv.Verdict != api.VerdictEqual {
				t.add(oneLine(tv.Type), string(tv.Verdict), fmt.Sprint(tv.Objects), orNone(strings.Join(tv.Repaired, ",")), orNone(oneLine(tv.Error)))
			}
		}
		if len(t.rows) > 0 {
			fmt.Fprintln(w)
			t.write(w, wide)
		}
	})
}

// verifyVerdict is [wrongError] for a verification that left a type without a verdict.
func verifyVerdict(v api.Verification) error {
	if v.Status == api.OperationFailed {
		return wrongError{}
	}
	return nil
}
