package plugin_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

var epoch = time.Date(2026, 2, 20, 10, 0, 0, 0, time.UTC)

// backend is the backend of a replica's real API. Its operations make a step each time they are read, and end with
// the last step.
type backend struct {
	status api.Status
	ring   api.Ring
	owner  api.Owner

	mu       sync.Mutex // guards the fields below
	startErr error
	steps    []api.Operation
	read     int // how many steps were read
	requests []api.Request
	verified api.Verification
}

var _ api.Backend = (*backend)(nil)

func (b *backend) Status(context.Context) api.Status { return b.status }
func (b *backend) Ring(context.Context) api.Ring     { return b.ring }
func (b *backend) Fleet(context.Context) api.Fleet   { return api.Fleet{} }

func (b *backend) Owner(id resource.ID) (api.Owner, error) {
	o := b.owner
	o.ID = string(id)
	if o.Member == "" {
		return o, api.ErrNotReady
	}
	return o, nil
}

func (b *backend) StartResync(_ context.Context, r api.Request) (api.Operation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
	if b.startErr != nil {
		return api.Operation{}, b.startErr
	}
	return api.Operation{
		ID: "op-1", Status: api.OperationRunning, Scope: r.Scope, Resource: r.Resource, Namespace: r.Namespace, Force: r.Force,
		Member: b.status.Member, StartedAt: epoch,
	}, nil
}

func (b *backend) WaitResync(context.Context, string) (api.Operation, error) {
	return api.Operation{}, &api.NotFoundError{What: "resync", Name: "the plugin does not wait there"}
}

func (b *backend) Resync(id string) (api.Operation, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.steps) == 0 || id != "op-1" {
		return api.Operation{}, false
	}
	op := b.steps[min(b.read, len(b.steps)-1)]
	b.read++
	return op, true
}

func (b *backend) Resyncs() []api.Operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []api.Operation
	if len(b.steps) > 0 {
		all = append(all, b.steps[len(b.steps)-1])
	}
	return all
}

func (b *backend) asked() []api.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// step is an operation after some progress.
func step(done, total, types int) api.Operation {
	return api.Operation{
		ID: "op-1", Status: api.OperationRunning, Trigger: api.TriggerRequest, Scope: api.ScopeFleet, Member: "sync-0", StartedAt: epoch,
		Resources: api.Progress{Done: done, Total: total}, Types: api.Progress{Done: types, Total: 60},
	}
}

// finished is the end of an operation after 72 seconds.
func finished(status api.OperationStatus, message string) api.Operation {
	op, end := step(20243, 20243, 60), epoch.Add(72*time.Second)
	op.Status, op.FinishedAt, op.Message = status, &end, message
	return op
}

// backendURL serves the API of a backend and returns its URL.
func backendURL(t *testing.T, b api.Backend) string {
	t.Helper()
	s := httptest.NewServer(api.New(b, api.Options{}).Handler())
	t.Cleanup(s.Close)
	return s.URL
}

// well is replica i of three without any trouble.
func well(i int) *backend {
	name := "sync-" + strconv.Itoa(i)
	now := epoch.Add(time.Hour)
	next := now.Add(20 * time.Hour)
	last := finished(api.OperationDone, "")
	last.Trigger = api.TriggerSchedule
	b := &backend{
		status: api.Status{
			Version: "v1.0.0", Member: name, StartedAt: epoch.Add(-time.Hour), UptimeSeconds: 7200, Ready: true, Phase: api.PhaseInSync, Objects: 20243,
			Types: []api.TypeStatus{
				{Name: "deployments.v1.apps", Objects: 412, Phase: api.TypeWatching, Since: epoch},
				{Name: "pods.v1", Objects: 9000, Phase: api.TypeWatching, Since: epoch},
			},
			Discovery: api.Discovery{Complete: true},
			Targets: []api.Target{{
				Name: "default", Endpoint: "http://cluster-whisperer:3000/api/v1/instances/sync", Format: "cluster-whisperer",
				State: api.TargetDelivering, Since: epoch, Upserts: 7000, Deletes: 3, InStep: true,
			}},
			Resync: api.ResyncStatus{Last: &last, Next: &next},
		},
		owner: api.Owner{Partition: 17, Member: "sync-1", Known: true, Self: i == 1, MaySend: i == 1},
	}
	if i != 1 {
		b.owner.Reason = "another member owns it"
	}
	b.ring = api.Ring{
		Name: "k8s-vectordb-sync", Format: "consistent-v1/4093/400/1.05", Partitions: 4093, Agreed: true,
	}
	view := []string{"sync-0", "sync-1", "sync-2"}
	for j, share := range []int{1365, 1330, 1398} {
		b.ring.Members = append(b.ring.Members, api.Member{
			Name: view[j], State: api.MemberWorking, Self: i == j, HeartbeatAgeSeconds: 1.5 + float64(j), Partitions: share,
			Share: float64(share) / 4093, View: view, Claims: share,
		})
	}
	return b
}

// three are replicas without any trouble.
func three() []*backend { return []*backend{well(0), well(1), well(2)} }

// outcome is the result of a run of the command.
type outcome struct {
	code        int
	out, errOut string
}

// run runs the command with no cluster.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	args = append([]string{"kubectl-vectordb_sync"}, args...)
	code := plugin.Main(t.Context(), args, "v1.2.3", genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	return outcome{code, out.String(), errOut.String()}
}

// runAll runs a command that asks these replicas.
func runAll(t *testing.T, all []*backend, args ...string) outcome {
	t.Helper()
	urls := make([]string, 0, len(all))
	for _, b := range all {
		urls = append(urls, backendURL(t, b))
	}
	return run(t, append(args, "--api", strings.Join(urls, ","))...)
}
