package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// The exit codes are those of kubectl diff: the command found a problem, or it could not find out anything.
const (
	codeWrong       = 1
	codeFailed      = 2
	codeInterrupted = 130 // as a shell returns it
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

// Main runs the command and returns its exit code. That is 0 when all is well, 1 when it found a problem, 2 when it
// could not find out, and 130 when ctx ended. The arguments begin with the name under which the program was called.
// If that begins with kubectl_complete-, kubectl asks for completions.
func Main(ctx context.Context, args []string, version string, streams genericiooptions.IOStreams) int {
	root := newRoot(version, streams)
	rest := args[1:]
	if strings.HasPrefix(filepath.Base(args[0]), "kubectl_complete-") {
		rest = append([]string{cobra.ShellCompRequestCmd}, rest...)
	}
	root.SetArgs(rest)
	err := root.ExecuteContext(ctx)
	var (
		wrong wrongError
		exit  *exitError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		fmt.Fprintln(streams.ErrOut, "error:", exit.message)
		return exit.code
	case errors.As(err, &wrong):
		return codeWrong
	case ctx.Err() != nil:
		return codeInterrupted
	default:
		fmt.Fprintln(streams.ErrOut, "error:", err)
		return codeFailed
	}
}

func newRoot(version string, streams genericiooptions.IOStreams) *cobra.Command {
	c := newConnection(version)
	root := &cobra.Command{
		Use:         "kubectl-vectordb_sync",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl vectordb-sync"},
		Short:       "Look at k8s-vectordb-sync, start resyncs, and ask what is in the cluster",
		Long: "kubectl vectordb-sync asks every replica of k8s-vectordb-sync for its status and shows the answers side by side.\n\n" +
			"It finds the replicas by their labels, in the current namespace and then in all, and reaches them through the API server.\n" +
			"Exit codes: 0 all is well, 1 something is not, 2 it could not be found out.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	c.addFlags(root.PersistentFlags())
	root.AddCommand(newStatus(c, streams), newRing(c, streams.Out), newOwner(c, streams.Out), newResync(c, streams),
		newResyncs(c, streams.Out), newVerify(c, streams), newPlan(c, streams), newSearch(c, streams.Out), newMCP(c, streams), newVersion(c, streams.Out))
	_ = root.RegisterFlagCompletionFunc("namespace", c.completeNamespaces)
	_ = root.RegisterFlagCompletionFunc("controller-namespace", c.completeNamespaces)
	for _, cmd := range root.Commands() {
		if cmd.Flags().Lookup("output") != nil {
			_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(append(slices.Clone(outputs), outputsOfArgs...), cobra.ShellCompDirectiveNoFileComp))
		}
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	return root
}

// versionReport is the output of kubectl vectordb-sync version.
type versionReport struct {
	Client   string          `json:"client"`
	Go       string          `json:"go"`
	Platform string          `json:"platform"`
	Replicas []versionAnswer `json:"replicas"`
	findings
}

type versionAnswer struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Error   string `json:"error,omitempty"`
}

func newVersion(c *connection, out io.Writer) *cobra.Command {
	var (
		format output
		client bool
	)
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this command and of the replicas",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := versionReport{
				Client: c.version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
				Replicas: []versionAnswer{}, findings: newFindings(),
			}
			var failed error
			if !client {
				failed = report.ask(cmd.Context(), c)
			}
			if err := format.render(out, report, report.table); err != nil {
				return err
			}
			return errors.Join(failed, report.verdict())
		},
	}
	cmd.Flags().BoolVar(&client, "client", false, "Only the version of this command")
	format.addFlag(cmd.Flags())
	return cmd
}

func (r *versionReport) ask(ctx context.Context, c *connection) error {
	f, err := c.fleet(ctx, false)
	if err != nil {
		return err
	}
	defer f.close()
	r.Replicas = each(ctx, f, func(ctx context.Context, p *replica) versionAnswer {
		s, err := get[api.Status](ctx, p, "/api/v1/status")
		if err != nil {
			return versionAnswer{Name: p.name, Error: oneLine(err.Error())}
		}
		return versionAnswer{Name: p.name, Version: s.Version}
	})
	for _, a := range r.Replicas {
		if a.Error != "" {
			r.problem("%s does not answer: %s", a.Name, a.Error)
		}
	}
	return nil
}

func (r versionReport) items() (rows any, names []string) {
	for _, a := range r.Replicas {
		names = append(names, "pod/"+a.Name)
	}
	return r.Replicas, names
}

func (r *versionReport) table(w io.Writer, wide bool) {
	t := table{columns: []string{"NAME", "VERSION", "+GO", "+PLATFORM"}}
	t.add("kubectl-vectordb_sync", r.Client, r.Go, r.Platform)
	for _, a := range r.Replicas {
		t.add(a.Name, orNone(a.Version), none, none)
	}
	t.write(w, wide)
	r.write(w)
}
