package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/findtool"
)

// searchReport is the output of kubectl vectordb-sync search, and the answer of the receiver.
type searchReport struct {
	Query string `json:"query"`
	// Ranking is by words, or by words and meaning.
	Ranking string `json:"ranking"`
	// Hits are the resources that were found, best first.
	Hits []findtool.Resource `json:"hits"`
}

// finder asks the reference receiver.
type finder struct {
	connection *connection
	address    string // of --receiver-url
}

func (f *finder) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.address, "receiver-url", "", "URL of the reference receiver, to reach it without Kubernetes")
}

// find asks a receiver that is known.
func (f *finder) find(ctx context.Context, r *replica, in findtool.Input) (searchReport, error) {
	timeout, err := f.connection.timeout()
	if err != nil {
		return searchReport{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q := url.Values{"q": {in.Query}, "limit": {strconv.Itoa(in.Limit)}}
	for name, value := range map[string]string{"namespace": in.Namespace, "kind": in.Kind} {
		if value != "" {
			q.Set(name, value)
		}
	}
	report, err := get[searchReport](ctx, r, "/search?"+q.Encode())
	if err != nil {
		return searchReport{}, fmt.Errorf("asking the receiver %s: %w", r.name, err)
	}
	if report.Hits == nil {
		report.Hits = []findtool.Resource{}
	}
	return report, nil
}

func (r searchReport) table(w io.Writer, wide bool) {
	if len(r.Hits) == 0 {
		fmt.Fprintf(w, "Nothing was found for %q.\n", oneLine(r.Query))
		return
	}
	t := table{columns: []string{"NAMESPACE", "KIND", "NAME", "DESCRIPTION", "+API VERSION", "+SCORE", "+ID"}}
	for _, h := range r.Hits {
		description := h.Description
		if !wide {
			description = shorten(description, 80)
		}
		t.add(orNone(strings.TrimSuffix(h.Namespace, "_cluster")), h.Kind, h.Name, orNone(description), h.APIVersion,
			strconv.FormatFloat(h.Score, 'f', 2, 64), h.ID)
	}
	t.write(w, wide)
	if wide {
		fmt.Fprintf(w, "\nRanked by %s.\n", oneLine(cmp.Or(r.Ranking, "words")))
	}
}

// shorten cuts a text for a line of a table.
func shorten(s string, most int) string {
	runes := []rune(oneLine(s))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}

func (r searchReport) items() (rows any, names []string) {
	for _, h := range r.Hits {
		group, _, grouped := strings.Cut(h.APIVersion, "/")
		kind := strings.ToLower(h.Kind)
		if grouped {
			kind += "." + group
		}
		names = append(names, kind+"/"+h.Name)
	}
	return r.Hits, names
}

func newSearch(c *connection, out io.Writer) *cobra.Command {
	var (
		format output
		in     findtool.Input
	)
	f := finder{connection: c}
	cmd := &cobra.Command{
		Use:   "search QUESTION",
		Short: "Ask what is in the cluster, in plain words",
		Long: "Ask the reference receiver, which the chart installs with receiver.enabled=true, what is in the cluster. It is found by its\n" +
			"Service and reached through the API server. Without --namespace all namespaces are searched; _cluster is what is in none.\n" +
			"The exit code is 1 when nothing was found.",
		Example: "  kubectl vectordb-sync search \"which databases are we running?\"\n" +
			"  kubectl vectordb-sync search payments -n shop --kind deployments\n" +
			"  kubectl get $(kubectl vectordb-sync search redis -n shop --limit 1 -o name) -n shop",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Query, in.Namespace = strings.Join(args, " "), *c.config.Namespace
			r, err := c.receiver(cmd.Context(), f.address)
			if err != nil {
				return err
			}
			defer r.close()
			report, err := f.find(cmd.Context(), r, in)
			if err != nil {
				return err
			}
			if err := format.render(out, report, report.table); err != nil {
				return err
			}
			if len(report.Hits) == 0 {
				return wrongError{}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&in.Kind, "kind", "", "Only this kind: Deployment, deployments, deploy")
	cmd.Flags().IntVar(&in.Limit, "limit", 10, "How many resources at most, 1 to 200")
	f.addFlags(cmd.Flags())
	format.addFlag(cmd.Flags())
	return cmd
}

func newMCP(c *connection, streams genericiooptions.IOStreams) *cobra.Command {
	f := finder{connection: c}
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Let an assistant ask: a server of the Model Context Protocol on standard input and output",
		Long: "Serve the tool " + findtool.Name + " to an assistant that starts this command, until it closes the input. The reference receiver is\n" +
			"found and reached as by search, with the rights of the kubeconfig; it is looked for anew when it has moved.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server := findtool.NewServer(c.version, func(ctx context.Context, in findtool.Input) (findtool.Output, error) {
				r, err := c.receiver(ctx, f.address)
				if err != nil {
					return findtool.Output{}, err
				}
				defer r.close()
				report, err := f.find(ctx, r, in)
				return findtool.Output{Ranking: report.Ranking, Resources: report.Hits}, err
			})
			err := server.Run(cmd.Context(), &mcp.IOTransport{Reader: io.NopCloser(streams.In), Writer: nopWriteCloser{streams.Out}})
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		},
	}
	f.addFlags(cmd.Flags())
	return cmd
}

// nopWriteCloser is an output that the command must not close.
type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }
