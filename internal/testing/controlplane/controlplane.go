package controlplane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// startTimeout bounds each start of a process. A fresh API server takes 3 to 6 seconds on two idle cores.
const startTimeout = 90 * time.Second

// stopGrace is how long an API server may take to stop before it is killed. Idle it takes 3 seconds.
const stopGrace = 30 * time.Second

// Options are the options of a control plane. The zero value is a good one.
type Options struct {
	// Dir holds data, keys, logs and kubeconfig files. Empty means a temporary directory that [ControlPlane.Stop]
	// removes. A named directory is made if it is missing, and kept. A control plane that starts in it again has its
	// old data and new keys.
	Dir string
	// Assets is the directory of the binaries. Empty means the one that [FindAssets] finds.
	Assets string
	// AuditLog has every request logged, for [ControlPlane.AuditEvents]. It costs the API server some CPU and the disk
	// about 1 KiB a request.
	AuditLog bool
	// ExtraArgs are appended to the arguments of kube-apiserver, so that they win over ours.
	ExtraArgs []string
	// APIServerPort and EtcdPort are ports on 127.0.0.1. Zero means a free one.
	APIServerPort, EtcdPort int
	// Fresh has [ForTest] start one that no test has used, for a test that depends on its age.
	Fresh bool
	// brief tells that the control plane lives for a few tests only.
	brief bool
}

// ControlPlane is a running etcd with a kube-apiserver. Make one with [Start].
type ControlPlane struct {
	opts    Options
	assets  string
	dir     string
	address string
	etcdURL string
	ca      *authority
	admin   credentials
	// kubeconfigs counts the files written, for their names.
	kubeconfigs atomic.Int64
	// turn is the turn of the test that has the control plane, where several tests share it.
	turn turn

	mu        sync.Mutex // guards the fields below, and is held while the API server starts or stops
	etcd      *process.Process
	apiserver *process.Process // nil while it is stopped
	stopped   bool
}

// Start runs a control plane and returns when it is ready. The context bounds the start only; Stop must be called to
// end it. It fails with an [*AssetsError] when there are no binaries.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	assets := opts.Assets
	if assets == "" {
		var err error
		if assets, err = FindAssets(); err != nil {
			return nil, err
		}
	}
	// Another program may take a free port before our process has it. Then that process dies at once.
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, assets, opts)
		if err == nil {
			return c, nil
		}
		var died *process.DiedError
		if !errors.As(err, &died) || attempt == attempts {
			return nil, err
		}
	}
}

func start(ctx context.Context, assets string, opts Options) (_ *ControlPlane, err error) {
	c := &ControlPlane{opts: opts, assets: assets, dir: opts.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.startEtcd(ctx); err != nil {
		return nil, err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare makes the directory with all files of the first start, and picks the ports.
func (c *ControlPlane) prepare() (err error) {
	if c.dir == "" {
		removeAbandoned(os.TempDir())
		if c.dir, err = os.MkdirTemp("", tempPrefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
			return fmt.Errorf("making the directory of a control plane: %w", err)
		}
	}
	if c.ca, err = newAuthority(); err != nil {
		return err
	}
	if err := writePKI(filepath.Join(c.dir, "pki"), c.ca); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	apiPort, err := portOr(c.opts.APIServerPort)
	if err != nil {
		return err
	}
	etcdPort, err := portOr(c.opts.EtcdPort)
	if err != nil {
		return err
	}
	c.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(apiPort))
	c.etcdURL = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(etcdPort))
	// By token, not by certificate: the API server verifies a certificate anew with each request, which takes a
	// twelfth of its processor time.
	c.admin = credentials{token: rand.Text()}
	tokens := c.admin.token + ",admin,admin,system:masters\n"
	if err := os.WriteFile(c.tokens(), []byte(tokens), 0o600); err != nil {
		return fmt.Errorf("writing the tokens of users: %w", err)
	}
	_, err = c.writeKubeconfig(c.Kubeconfig(), c.RESTConfig())
	return err
}

// tokens is the file of the users that have a token.
func (c *ControlPlane) tokens() string { return filepath.Join(c.dir, "tokens.csv") }

func portOr(port int) (int, error) {
	if port != 0 {
		return port, nil
	}
	return process.FreePort()
}

func (c *ControlPlane) startEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := process.Start(process.Command{
		Binary: filepath.Join(c.assets, "etcd"),
		Log:    filepath.Join(c.dir, "etcd.log"),
		Env:    c.opts.environment(),
		Args: []string{
			"--data-dir", filepath.Join(c.dir, "etcd"),
			"--listen-client-urls", c.etcdURL,
			"--advertise-client-urls", c.etcdURL,
			"--listen-peer-urls", "http://127.0.0.1:0", // there are no peers
			"--unsafe-no-fsync", // the data outlives the process, not the machine, and tests need no more
			"--log-level", "warn",
		},
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.etcd = p
	c.mu.Unlock()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return p.Await(ctx, func(ctx context.Context) error { return getOK(ctx, client, c.etcdURL+"/health") })
}

// environment is the environment of this process. While tests follow one another, Go collects garbage less often,
// because processor time is scarcer than memory: 2,000 objects and 4,000 changes take 24 s of the API server instead
// of 30.
func (o Options) environment() []string {
	env := os.Environ()
	if o.brief && os.Getenv("GOGC") == "" {
		env = append(env, "GOGC=400", "GOMEMLIMIT=3GiB")
	}
	return env
}

// StartAPIServer starts the API server on its old address and data and returns when it is ready. It does nothing if
// the API server is running.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errStopped
	}
	if c.apiserver != nil && c.apiserver.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := process.Start(process.Command{
		Binary: filepath.Join(c.assets, "kube-apiserver"),
		Args:   c.apiServerArgs(),
		Log:    filepath.Join(c.dir, "apiserver.log"),
		Env:    c.opts.environment(),
	})
	if err != nil {
		return err
	}
	c.apiserver = p
	config := c.RESTConfig()
	config.Timeout = 5 * time.Second
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	ours, err := rest.HTTPWrappersForConfig(config, &http.Transport{TLSClientConfig: tls, DisableKeepAlives: true})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	client := &http.Client{Timeout: config.Timeout, Transport: ours}
	return p.Await(ctx, func(ctx context.Context) error { return getOK(ctx, client, config.Host+"/readyz") })
}

// errStopped says that a method was called after Stop.
var errStopped = errors.New("the control plane has been stopped")

func getOK(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

func (c *ControlPlane) apiServerArgs() []string {
	pki := func(name string) string { return filepath.Join(c.dir, "pki", name) }
	_, port, _ := net.SplitHostPort(c.address) // this process joined it
	args := []string{
		"--etcd-servers=" + c.etcdURL,
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		// Without these two the server looks for an address of the machine, and some sandboxes have none.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--token-auth-file=" + c.tokens(),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("sa.key"),
		"--service-account-signing-key-file=" + pki("sa.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--disable-admission-plugins=ServiceAccount",
		"--allow-privileged=true",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--requestheader-client-ca-file=" + pki("ca.crt"),
		"--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki("front-proxy.crt"),
		"--proxy-client-key-file=" + pki("front-proxy.key"),
	}
	if c.opts.AuditLog {
		args = append(args,
			"--audit-policy-file="+filepath.Join(c.dir, "audit-policy.yaml"),
			"--audit-log-path="+c.auditLog(),
			"--audit-log-maxsize=10240", // MB; we would not read a rotated log
		)
	}
	return append(args, c.opts.ExtraArgs...)
}

// StopAPIServer ends the API server: by SIGKILL, or by SIGTERM, which lets it finish its requests. Its data stay. It
// does nothing when the API server is not running.
func (c *ControlPlane) StopAPIServer(kill bool) error {
	c.turn.spend()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apiserver == nil {
		return nil
	}
	if err := c.apiserver.Stop(!kill, stopGrace); err != nil {
		return err
	}
	c.apiserver = nil
	return nil
}

// PauseAPIServer freezes the API server: connections stay open and are accepted, and none gets an answer.
func (c *ControlPlane) PauseAPIServer() error { return c.signalAPIServer(syscall.SIGSTOP) }

// ResumeAPIServer lets a paused API server go on.
func (c *ControlPlane) ResumeAPIServer() error { return c.signalAPIServer(syscall.SIGCONT) }

func (c *ControlPlane) signalAPIServer(s syscall.Signal) error {
	c.turn.spend()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apiserver == nil {
		return fmt.Errorf("sending %s: the API server is not running", s)
	}
	return c.apiserver.Signal(s)
}

// Kubectl returns the path of a kubectl of the same version.
func (c *ControlPlane) Kubectl() string { return filepath.Join(c.assets, "kubectl") }

// Logs returns the last lines that the API server printed, for the log of a test that failed.
func (c *ControlPlane) Logs(lines int) string {
	return process.Tail(filepath.Join(c.dir, "apiserver.log"), lines)
}

// Stop kills both processes, paused or not, and removes the directory unless the options named it. It saves no data,
// so it waits only for the end of the processes. It may be called more than once.
func (c *ControlPlane) Stop() error {
	c.turn.spend()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	var errs []error
	for _, p := range []*process.Process{c.apiserver, c.etcd} {
		if p != nil {
			errs = append(errs, p.Stop(false, 0))
		}
	}
	c.apiserver, c.etcd = nil, nil
	if c.opts.Dir == "" && c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
