package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxTests is how many tests one control plane serves. Its API server keeps memory of each test's objects.
const maxTests = 30

// shared holds the control planes of a test process.
var shared pool

// pool holds control planes that no test has at present. It is closed and empty unless [Shared] opens it.
//
//	        start             begin                    put back
//	(none) ───────▶ baseline ───────▶ a test's turn ─────────────▶ idle
//	                                    │    ▲                      │
//	      spent, failed, dead, worn out │    └──────────────────────┤ begin
//	                                    ▼                           ▼
//	                                 stopped ◀──────────────── end of all tests
type pool struct {
	mu   sync.Mutex // guards the fields below
	open bool
	idle []*member // the last one was given back last
}

// member is a control plane of the pool, with the state to which it is put back.
type member struct {
	*ControlPlane
	client   *clientv3.Client
	api      *viewer
	baseline *baseline
	tests    int // how many tests have had it
}

// tests is a [testing.M], or a fake of it.
type tests interface{ Run() int }

// sharing runs tests that share control planes.
type sharing struct{ tests }

// Shared has the tests of a process share control planes: [ForTest] gives a test the one of an earlier test, put
// back to its first state. It wraps the argument of TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(controlplane.Shared(m).Run()) }
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(controlplane.Shared(m)) }
func Shared(m tests) interface{ Run() int } { return sharing{m} }

// Run runs the tests, and then stops every control plane.
func (s sharing) Run() int {
	shared.mu.Lock()
	shared.open = true
	shared.mu.Unlock()
	code := s.tests.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the control planes of the tests:", err)
		code = max(code, 1)
	}
	return code
}

func (p *pool) close() error {
	p.mu.Lock()
	idle := p.idle
	p.open, p.idle = false, nil
	p.mu.Unlock()
	var errs []error
	for _, m := range idle {
		errs = append(errs, m.stop())
	}
	return errors.Join(errs...)
}

// serves tells whether control planes with these options are shared.
func (p *pool) serves(opts Options) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open && !opts.Fresh && opts.Dir == "" && opts.Assets == "" && len(opts.ExtraArgs) == 0 &&
		opts.APIServerPort == 0 && opts.EtcdPort == 0
}

// lend gives a control plane to a test, and takes it back at its end.
func (p *pool) lend(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	m, err := p.take(t.Context(), t.Logf, opts)
	if err != nil {
		t.Fatalf("starting a control plane: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the API server said last:\n%s", m.Logs(20))
			m.turn.spend() // The cause of the failure is unknown, and may lie in the control plane.
		}
		if err := p.give(context.WithoutCancel(t.Context()), t.Logf, m); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	return m.ControlPlane
}

// take returns an idle control plane whose turn has begun, or starts one.
func (p *pool) take(ctx context.Context, logf func(string, ...any), opts Options) (*member, error) {
	for {
		m, fits := p.pop(opts.AuditLog)
		if m == nil {
			break
		}
		if fits {
			err := m.ready(ctx)
			if err == nil {
				return m, nil
			}
			logf("a control plane cannot be used again, it is stopped: %v", err)
		}
		if err := m.stop(); err != nil {
			return nil, err
		}
		if !fits {
			break // a new one takes its place
		}
	}
	c, err := startBrief(ctx, opts)
	if err != nil {
		return nil, err
	}
	m := &member{ControlPlane: c}
	if err := m.takeUp(ctx); err != nil {
		logf("a control plane is used for this test only: %v", err)
		m.turn.spend()
	}
	return m, nil
}

// pop takes an idle control plane out: the last that fits. It gives one with an audit log to a test without need for
// it only if there is no other. If none fits, it takes any.
func (p *pool) pop(audited bool) (_ *member, fits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, has := range []bool{audited, true, false} {
		for i, m := range slices.Backward(p.idle) {
			if m.opts.AuditLog == has {
				p.idle = slices.Delete(p.idle, i, i+1)
				return m, has || !audited
			}
		}
	}
	return nil, false
}

// give puts a control plane back and keeps it, or stops it.
func (p *pool) give(ctx context.Context, logf func(string, ...any), m *member) error {
	m.tests++
	if m.turn.spent.Load() || m.tests >= maxTests || !m.running() {
		return m.stop()
	}
	began := time.Now()
	if err := m.baseline.restore(ctx, m.client, m.api); err != nil {
		logf("the control plane cannot be put back, it is stopped: %v", err)
		return m.stop()
	}
	logf("the control plane was put back after its test %d in %v", m.tests, time.Since(began).Round(time.Millisecond))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return m.stop()
	}
	p.idle = append(p.idle, m)
	return nil
}

// takeUp takes the baseline and begins the first turn.
func (m *member) takeUp(ctx context.Context) (err error) {
	if m.client, err = m.etcdClient(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if m.api, err = newViewer(m.RESTConfig()); err != nil {
		return err
	}
	if m.baseline, err = takeBaseline(ctx, m.client, m.api); err != nil {
		return fmt.Errorf("it does not come to rest: %w", err)
	}
	return m.begin(ctx)
}

// ready begins a turn. Before that it removes writes that reached etcd after the control plane was put back, from a
// process that was killed with a request on its way.
func (m *member) ready(ctx context.Context) error {
	if !m.running() {
		return errors.New("it has died")
	}
	d, err := m.baseline.changed(ctx, m.client)
	if err != nil {
		return err
	}
	if !d.empty() {
		if err := m.baseline.restore(ctx, m.client, m.api); err != nil {
			return err
		}
	}
	return m.begin(ctx)
}

func (m *member) stop() error {
	var errs []error
	if m.client != nil {
		errs = append(errs, m.client.Close())
	}
	if m.api != nil {
		m.api.close()
	}
	return errors.Join(append(errs, m.Stop())...)
}

// running tells whether both processes run.
func (c *ControlPlane) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.etcd != nil && c.etcd.Running() && c.apiserver != nil && c.apiserver.Running()
}
