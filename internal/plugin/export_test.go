package plugin

import (
	"context"
	"io"
	"net/http"

	"github.com/spf13/pflag"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// Follow follows an operation at replicas that are reached by these transports; the first replica has started it.
// It shows the progress as lines, or as a bar.
func Follow(ctx context.Context, op api.Operation, w io.Writer, asBar bool, replicas ...http.RoundTripper) (api.Operation, error) {
	f := &fleet{timeout: replicaTimeout}
	for _, t := range replicas {
		f.replicas = append(f.replicas, &replica{name: "replica", base: "http://replica", client: &http.Client{Transport: t}})
	}
	show := newProgress(w)
	if asBar {
		show = newBar(w)
	}
	return follow(ctx, f, f.replicas[0], op, show)
}

// ReadSettings reads the settings of a plan as the command does with these arguments. It returns them, the names of
// ResourceSyncConfigs, and where the settings come from.
func ReadSettings(ctx context.Context, in io.Reader, args ...string) (env map[string]string, declared []string, from string, notes []string, err error) {
	c, o := newConnection("test"), &settingsFlags{}
	flags := pflag.NewFlagSet("plan", pflag.ContinueOnError)
	c.addFlags(flags)
	o.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return nil, nil, "", nil, err
	}
	_, client, err := c.kubernetes()
	if err != nil {
		return nil, nil, "", nil, err
	}
	s, err := o.read(ctx, c, client, in)
	if err != nil {
		return nil, nil, "", nil, err
	}
	for _, d := range s.declared {
		declared = append(declared, d.Namespace+"/"+d.Name)
	}
	return s.env, declared, s.from, s.notes, nil
}
