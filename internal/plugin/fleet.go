package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs with auth-provider, as kubectl reads them
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// replicaTimeout bounds one question to one replica. A replica copies its status and computes nothing, so an answer
// that takes longer than some hundred milliseconds is slow on its way.
const replicaTimeout = 10 * time.Second

// connection says how replicas are found and reached; flags set it.
type connection struct {
	config    *genericclioptions.ConfigFlags
	version   string
	namespace string
	selector  string
	release   string
	urls      []string
	tokenFile string
}

func newConnection(version string) *connection {
	return &connection{config: genericclioptions.NewConfigFlags(true), version: version}
}

func (c *connection) addFlags(flags *pflag.FlagSet) {
	c.config.AddFlags(flags)
	if f := flags.Lookup("namespace"); f != nil {
		f.Usage = "Namespace of the objects that a command is about; for commands that are about none, that of the controller"
	}
	if f := flags.Lookup("request-timeout"); f != nil {
		f.Usage = "How long to wait for each answer of the API server or a replica (0: 10s for a replica)"
	}
	flags.StringVar(&c.namespace, "controller-namespace", "", "Namespace of the controller (default: the current one, then all)")
	flags.StringVarP(&c.selector, "selector", "l", "", "Labels of the controller's pods (default "+nameLabel+")")
	flags.StringVar(&c.release, "release", "", "Name of the Helm release, where there are several")
	flags.StringSliceVar(&c.urls, "api", nil, "URLs of the replicas' APIs, to reach them without Kubernetes")
	flags.StringVar(&c.tokenFile, "api-token-file", "", "File with a bearer token for the API of a release with API_AUTH")
}

// fleet is the replicas of one release.
type fleet struct {
	// release is nil where replicas were named by their URLs.
	release  *release
	replicas []*replica
	timeout  time.Duration
}

// fleet finds the replicas, and asks none of them. With objects, --namespace is the namespace of objects, and not
// that of the controller. The caller closes the fleet.
func (c *connection) fleet(ctx context.Context, objects bool) (*fleet, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	timeout, err := c.timeout()
	if err != nil {
		return nil, err
	}
	f := &fleet{timeout: timeout}
	if len(c.urls) > 0 {
		for _, u := range c.urls {
			r, err := newDirect(u, token)
			if err != nil {
				return nil, fmt.Errorf("--api: %w", err)
			}
			f.replicas = append(f.replicas, r)
		}
		f.introduce(ctx)
		return f, nil
	}
	config, client, err := c.kubernetes()
	if err != nil {
		return nil, err
	}
	found, pods, err := c.find(ctx, client, objects)
	if err != nil {
		return nil, err
	}
	f.release = &found
	for _, p := range pods {
		f.replicas = append(f.replicas, forwarded(p, token, func(ctx context.Context) (*tunnel, error) {
			dialer, err := newDialer(config, client, p.Namespace, p.Name)
			if err != nil {
				return nil, err
			}
			return openTunnel(ctx, dialer, podPort(p))
		}))
	}
	return f, nil
}

// kubernetes returns a client with the rights of the kubeconfig. It runs the kubeconfig's plugins for
// authentication, if there are any.
func (c *connection) kubernetes() (*rest.Config, *corev1client.CoreV1Client, error) {
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.UserAgent = "kubectl-vectordb_sync/" + c.version
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client of Kubernetes: %w", err)
	}
	return config, client, nil
}

func forwarded(p corev1.Pod, token string, open func(context.Context) (*tunnel, error)) *replica {
	r := newForwarded(p.Name, token, open)
	r.trouble = podTrouble(p)
	return r
}

func (c *connection) find(ctx context.Context, client corev1client.PodsGetter, objects bool) (release, []corev1.Pod, error) {
	current, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return release{}, nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	s := search{namespace: c.namespace, current: current, selector: c.selector, release: c.release}
	if s.namespace == "" && !objects {
		s.namespace = *c.config.Namespace
	}
	return s.find(ctx, client)
}

func (c *connection) token() (string, error) {
	if c.tokenFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return "", fmt.Errorf("reading --api-token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (c *connection) timeout() (time.Duration, error) {
	text := *c.config.Timeout
	if text == "" || text == "0" {
		return replicaTimeout, nil
	}
	if !strings.ContainsAny(text, "hmsuµn") {
		text += "s" // kubectl reads a timeout without a unit as seconds
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--request-timeout %q is no duration, want one such as 30s", *c.config.Timeout)
	}
	return cmp.Or(d, replicaTimeout), nil
}

// introduce gives replicas that are known by their URLs the names that they have in the ring, as pods have them
// anyway. A replica that does not answer keeps the name of its URL.
func (f *fleet) introduce(ctx context.Context) {
	names := each(ctx, f, func(ctx context.Context, r *replica) string {
		s, err := get[api.Status](ctx, r, "/api/v1/status")
		if err != nil {
			return ""
		}
		return s.Member
	})
	for i, name := range names {
		if name != "" {
			f.replicas[i].name = oneLine(name)
		}
	}
}

// close ends all connections.
func (f *fleet) close() {
	for _, r := range f.replicas {
		r.close()
	}
}

// bounded bounds one question to one replica.
func (f *fleet) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, f.timeout)
}

// each asks all replicas at once, and returns their answers in the order of the replicas.
func each[T any](ctx context.Context, f *fleet, ask func(context.Context, *replica) T) []T {
	answers := make([]T, len(f.replicas))
	var all sync.WaitGroup
	for i, r := range f.replicas {
		all.Go(func() {
			ctx, cancel := f.bounded(ctx)
			defer cancel()
			answers[i] = ask(ctx, r)
		})
	}
	all.Wait()
	return answers
}

// anyOf asks one replica after the other until one answers, and returns the answer and that replica. If a replica
// refuses a wrong request, it asks no other: all would refuse it.
func anyOf[T any](ctx context.Context, f *fleet, ask func(context.Context, *replica) (T, error)) (T, *replica, error) {
	var (
		none T
		errs []error
	)
	for _, r := range f.replicas {
		v, err := func() (T, error) {
			ctx, cancel := f.bounded(ctx)
			defer cancel()
			return ask(ctx, r)
		}()
		if err == nil {
			return v, r, nil
		}
		var refused *answerError
		if errors.As(err, &refused) && !another(refused.Code) {
			return none, r, err
		}
		if ctx.Err() != nil {
			return none, r, ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
	}
	return none, nil, fmt.Errorf("no replica answers: %w", errors.Join(errs...))
}

// another tells whether another replica may grant a request that one replica refuses.
func another(code int) bool {
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// only narrows the fleet to one replica. The caller still closes the others.
func (f *fleet) only(name string) (*fleet, error) {
	var names []string
	for _, r := range f.replicas {
		if r.name == name {
			return &fleet{release: f.release, replicas: []*replica{r}, timeout: f.timeout}, nil
		}
		names = append(names, r.name)
	}
	if near := api.Nearest(name, names); len(near) > 0 {
		return nil, fmt.Errorf("no replica is named %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return nil, fmt.Errorf("no replica is named %q, want one of %s", name, strings.Join(names, ", "))
}
