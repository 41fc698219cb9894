package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// patience bounds every wait of the demo.
const patience = 90 * time.Second

// stopGrace is how long a replica may take to stop: its own limit, 25 seconds, and a little more.
const stopGrace = 30 * time.Second

// stage is all running processes.
type stage struct {
	binaries   string
	dir        string // of the logs; removed at the end
	control    *controlplane.ControlPlane
	line       *netfault.API // between the replicas and the API server; it breaks only for the story
	kubeconfig string        // of the replicas
	receiver   *receiver
	replicas   []*replica
}

// replica is one controller. It keeps its name and its addresses when it is started again.
type replica struct {
	name        string
	api, health string // URLs without a path
	binary, log string
	env         []string
	starts      int
	process     *process.Process
}

// open starts the API server.
func (s *stage) open(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "k8s-vectordb-sync-demo-"); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if s.control, err = controlplane.Start(ctx, controlplane.Options{}); err != nil {
		return err
	}
	if s.line, err = netfault.NewAPI(s.control.RESTConfig()); err != nil {
		return err
	}
	s.kubeconfig, err = s.line.Kubeconfig(s.dir)
	return err
}

// cast starts the receiver and n replicas.
func (s *stage) cast(ctx context.Context, n int) (err error) {
	if s.receiver, err = startReceiver(ctx, s.binaries, s.dir); err != nil {
		return err
	}
	for i := range n {
		r, err := s.newReplica("replica-" + strconv.Itoa(i))
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newReplica makes the environment of a replica. It inherits only the variables that every program needs. Timings
// are shorter than by default, so that the story takes seconds.
func (s *stage) newReplica(name string) (*replica, error) {
	r := &replica{name: name, binary: filepath.Join(s.binaries, "k8s-vectordb-sync"), log: filepath.Join(s.dir, name+".log")}
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	state := filepath.Join(s.dir, name)
	if err := os.Mkdir(state, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory of %s: %w", name, err)
	}
	r.api, r.health = "http://"+api, "http://"+health
	r.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + os.Getenv("HOME"),
		"KUBECONFIG=" + s.kubeconfig,
		"REST_ENDPOINT=" + s.receiver.url + "/api/v1/instances/sync",
		"POD_NAME=" + name,
		"STATE_DIR=" + state,
		"API_BIND_ADDRESS=" + api,
		"HEALTH_PROBE_BIND_ADDRESS=" + health,
		"METRICS_BIND_ADDRESS=0",
		"DEBOUNCE_WINDOW_MS=500",
		"BATCH_FLUSH_INTERVAL_MS=200",
		"SETTLE_TIME_MS=5000",
		"LEASE_DURATION_MS=5000",
		"LEASE_RENEW_DEADLINE_MS=3500",
		"LEASE_RENEW_INTERVAL_MS=1000",
		"LOG_FORMAT=console",
	}
	return r, nil
}

func freeAddress() (string, error) {
	port, err := process.FreePort()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}

// start runs the replica, as a new pod under its old name, and returns when it is alive.
func (r *replica) start(ctx context.Context) (err error) {
	r.starts++
	r.process, err = process.Start(process.Command{
		Binary: r.binary, Env: append(r.env, fmt.Sprintf("POD_UID=%s-%d", r.name, r.starts)), Log: r.log,
	})
	if err != nil {
		return err
	}
	return awaitOK(ctx, r.process, r.health+"/healthz")
}

// awaitInStep returns when the receiver holds exactly the objects of the cluster, with their number.
func (s *stage) awaitInStep(ctx context.Context) (objects int, err error) {
	var last workload.Diff
	err = eventually(ctx, func(ctx context.Context) (bool, error) {
		want, err := workload.List(ctx, s.control.RESTConfig(), workload.Filter{})
		if err != nil {
			return false, err
		}
		got, err := s.receiver.documents(ctx)
		if err != nil {
			return false, err
		}
		objects, last = len(want), workload.Compare(want, got)
		return last.Empty(), nil
	})
	if err != nil {
		return 0, fmt.Errorf("the receiver is not in step, %s: %w", last, err)
	}
	return objects, nil
}

// eventually calls done four times a second until it is true. It fails with an error of done, or after patience.
func eventually(ctx context.Context, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lastWords are the last lines that the processes printed, for a failure.
func (s *stage) lastWords() string {
	var b strings.Builder
	for _, r := range s.replicas {
		fmt.Fprintf(&b, "%s said last:\n%s\n", r.name, process.Tail(r.log, 8))
	}
	return b.String()
}

// stop ends all processes and removes their files.
func (s *stage) stop() error {
	var errs []error
	for _, r := range s.replicas {
		if r.process != nil {
			errs = append(errs, r.process.Stop(false, 0))
		}
	}
	if s.receiver != nil {
		errs = append(errs, s.receiver.process.Stop(false, 0))
	}
	if s.line != nil {
		s.line.Close()
	}
	if s.control != nil {
		errs = append(errs, s.control.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
