package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// backend is a scripted [api.Backend]. Operations run until finish is called.
type backend struct {
	status api.Status
	ring   api.Ring
	fleet  api.Fleet
	// startErr, waitErr and ownerErr are returned instead of an answer when they are set.
	startErr, waitErr, ownerErr error
	// startBlocks makes StartResync wait for its context to end.
	startBlocks bool

	mu       sync.Mutex
	requests []api.Request
	ops      []api.Operation
	done     map[string]chan struct{}
}

var _ api.Backend = (*backend)(nil)

var epoch = time.Date(2026, 2, 20, 10, 0, 0, 0, time.UTC)

func (b *backend) Status(context.Context) api.Status { return b.status }
func (b *backend) Ring(context.Context) api.Ring     { return b.ring }
func (b *backend) Fleet(context.Context) api.Fleet   { return b.fleet }

func (b *backend) Owner(id resource.ID) (api.Owner, error) {
	if b.ownerErr != nil {
		return api.Owner{}, b.ownerErr
	}
	return api.Owner{ID: string(id), Partition: 17, Member: "sync-1", Reason: "another member owns it", Known: true}, nil
}

func (b *backend) StartResync(ctx context.Context, r api.Request) (api.Operation, error) {
	if b.startBlocks {
		<-ctx.Done()
		return api.Operation{}, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, r)
	if b.startErr != nil {
		return api.Operation{}, b.startErr
	}
	op := api.Operation{
		ID: "op-" + strconv.Itoa(len(b.ops)+1), Status: api.OperationRunning, Trigger: api.TriggerRequest,
		Scope: r.Scope, Resource: r.Resource, Namespace: r.Namespace, Force: r.Force, Member: "sync-0", StartedAt: epoch,
		Types: api.Progress{Total: 60}, Resources: api.Progress{Total: 1200},
	}
	b.ops = append(b.ops, op)
	if b.done == nil {
		b.done = make(map[string]chan struct{})
	}
	b.done[op.ID] = make(chan struct{})
	return op, nil
}

// progress sets how many objects an operation has sent by now.
func (b *backend) progress(id string, sent int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.ops {
		if b.ops[i].ID == id {
			b.ops[i].Resources.Done = sent
		}
	}
}

// finish ends an operation.
func (b *backend) finish(id string, status api.OperationStatus, sent int, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.ops {
		if o := &b.ops[i]; o.ID == id {
			end := epoch.Add(time.Minute)
			o.Status, o.FinishedAt, o.Message = status, &end, message
			o.Resources = api.Progress{Done: sent, Total: sent}
		}
	}
	close(b.done[id])
}

func (b *backend) WaitResync(ctx context.Context, id string) (api.Operation, error) {
	if b.waitErr != nil {
		return api.Operation{}, b.waitErr
	}
	b.mu.Lock()
	done := b.done[id]
	b.mu.Unlock()
	select {
	case <-done:
		op, _ := b.Resync(id)
		return op, nil
	case <-ctx.Done():
		return api.Operation{}, ctx.Err()
	}
}

func (b *backend) Resync(id string) (api.Operation, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.ops {
		if o.ID == id {
			return o, true
		}
	}
	return api.Operation{}, false
}

func (b *backend) Resyncs() []api.Operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []api.Operation
	for i := range b.ops {
		all = append(all, b.ops[len(b.ops)-1-i])
	}
	return all
}

func (b *backend) asked() []api.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// do serves one request in process.
func do(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1" // as through a port-forward
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// decode reads an answer.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("decoding %q: %v", w.Body, err)
	}
	return v
}

// full is a backend whose answers have every field set.
func full() *backend {
	next := epoch.Add(24 * time.Hour)
	end := epoch.Add(time.Minute)
	op := api.Operation{
		ID: "op-0", Status: api.OperationDone, Trigger: api.TriggerSchedule, Scope: api.ScopeFleet, Resource: "deployments.apps",
		Namespace: "shop", Force: true, Member: "sync-0", StartedAt: epoch, FinishedAt: &end,
		Types: api.Progress{Done: 1, Total: 1}, Resources: api.Progress{Done: 9, Total: 9}, OrphansDeleted: 2, OrphansHeld: 3,
		Target: "default", Shares: []api.Share{{Member: "sync-0", Parts: api.Progress{Done: 30, Total: 31}, Resources: api.Progress{Done: 60, Total: 70}}},
		Failed: []api.TypeFailure{{Type: "widgets.v1.example.com", Error: "forbidden"}}, Message: "3 orphans are held",
	}
	return &backend{
		status: api.Status{
			Version: "v1.0.0", Member: "sync-0", StartedAt: epoch, UptimeSeconds: 3725.5, Ready: true, Phase: api.PhaseSyncing, Objects: 20243,
			Types: []api.TypeStatus{
				{Name: "deployments.v1.apps", Objects: 412, Phase: api.TypeWatching, Since: epoch, VerifiedAt: &end},
				{Name: "widgets.v1.example.com", Phase: api.TypeFailing, Since: epoch, Error: "forbidden"},
			},
			Discovery: api.Discovery{
				Failed:  []api.FailedGroup{{GroupVersion: "metrics.k8s.io/v1beta1", Error: "service unavailable"}},
				Unknown: []string{"deploymnets"},
			},
			Targets: []api.Target{{
				Name: "default", Endpoint: "http://cluster-whisperer:3000/api/v1/instances/sync", Format: "cluster-whisperer",
				State: api.TargetBackingOff, Reason: "HTTP 503", Since: epoch, NextAttempt: &next, Dirty: 4, OldestDirtySeconds: 12.5,
				InFlight: 1, Upserts: 20000, Deletes: 7, QuarantinedTotal: 1,
				Quarantined: []api.Quarantined{{ID: "shop/v1/ConfigMap/odd", Reason: "labels: too long", Since: epoch}},
				Unknown:     2, FirstSync: &api.Progress{Done: 10, Total: 20},
				UnknownDeletions: []string{"pods.v1"},
				HeldRepairs:      []api.HeldRepair{{Resource: "configmaps.v1", Source: "receiver", Member: "sync-1", Documents: 80, Limit: 50}},
			}},
			Resync: api.ResyncStatus{Last: &op, Next: &next, Running: []api.Operation{op}},
		},
		ring: threeMembers(),
		ops:  []api.Operation{op},
	}
}

// threeMembers is a ring of three members without any trouble.
func threeMembers() api.Ring {
	view := []string{"sync-0", "sync-1", "sync-2"}
	return api.Ring{
		Name: "k8s-vectordb-sync", Format: "consistent-v1/4093/400/1.05", Partitions: 4093, Agreed: true,
		Members: []api.Member{
			{Name: "sync-0", State: api.MemberWorking, Self: true, HeartbeatAgeSeconds: 0.4, Partitions: 1365, Share: 1365.0 / 4093, View: view, Claims: 1365},
			{Name: "sync-1", State: api.MemberWorking, HeartbeatAgeSeconds: 3.2, Partitions: 1330, Share: 1330.0 / 4093, View: view, Claims: 1330},
			{Name: "sync-2", State: api.MemberWorking, HeartbeatAgeSeconds: 4.9, Partitions: 1398, Share: 1398.0 / 4093, View: view, Claims: 1398},
		},
	}
}

// troubled is a ring in which a member has gone silent while another joins.
func troubled() api.Ring {
	since := epoch.Add(-75 * time.Second)
	view := []string{"sync-0", "sync-1", "sync-3"}
	return api.Ring{
		Name: "k8s-vectordb-sync", Format: "consistent-v1/4093/400/1.05", Partitions: 4093,
		DisagreementSince: &since, OrphanedPartitions: 1, Conflicts: 12, Fenced: true,
		Members: []api.Member{
			{Name: "sync-0", State: api.MemberWorking, Self: true, HeartbeatAgeSeconds: 1, Partitions: 2046, Share: 0.5, View: view, Claims: 2046},
			{Name: "sync-1", State: api.MemberSilent, HeartbeatAgeSeconds: 17, Partitions: 2047, Share: 0.5, View: []string{"sync-0", "sync-1", "sync-2"}, Claims: 2059},
			{Name: "sync-2", State: api.MemberGone, HeartbeatAgeSeconds: 7300, View: []string{"sync-2"}},
			{Name: "sync-3", State: api.MemberWaiting, HeartbeatAgeSeconds: 0.1},
			{Name: "sync-4<b>", State: api.MemberWorking, Format: "consistent-v2/8191", HeartbeatAgeSeconds: 200000, View: []string{"sync-4<b>"}},
		},
	}
}

// wellFleet is a fleet of two without any trouble.
func wellFleet() api.Fleet {
	checked := epoch.Add(-23 * time.Minute)
	return api.Fleet{
		Member: "sync-0", Ready: true, Phase: api.PhaseInSync, Objects: 20243, Discovery: api.Discovery{Complete: true},
		Types: []api.TypeStatus{{Name: "deployments.v1.apps", Objects: 412, Phase: api.TypeWatching, Since: epoch, VerifiedAt: &checked}},
		Receivers: []api.FleetReceiver{{
			Name: "default", Endpoint: "http://cluster-whisperer:3000/api/v1/instances/sync", Format: "cluster-whisperer",
			Shares: []api.FleetShare{
				{Member: "sync-0", Self: true, LastSync: epoch.Add(-2 * time.Minute)},
				{Member: "sync-1", LastSync: epoch.Add(-40 * time.Second), Dirty: 3, DirtySince: epoch.Add(-10 * time.Second)},
			},
		}},
	}
}

// illFleet is a fleet that has every trouble.
func illFleet() api.Fleet {
	f := wellFleet()
	f.Phase, f.Discovery = api.PhaseSyncing, api.Discovery{
		Failed:  []api.FailedGroup{{GroupVersion: "metrics.k8s.io/v1beta1", Error: "service unavailable"}},
		Unknown: []string{"deploymnets"},
	}
	f.Types = append(f.Types, api.TypeStatus{Name: "widgets.v1.example.com", Phase: api.TypeFailing, Since: epoch.Add(-time.Hour), Error: "forbidden"})
	f.Receivers[0] = api.FleetReceiver{
		Name: "default", Endpoint: "http://dot-ai:3456/api/v1/resources/sync", Format: "dot-ai",
		Shares: []api.FleetShare{
			{Member: "sync-0", Self: true, Dirty: 412, DirtySince: epoch.Add(-7 * time.Minute), Quarantined: 1, LastSync: epoch.Add(-8 * time.Minute),
				Down: true, Reason: "HTTP 401 <b>", Advice: "Put the right token into the Secret."},
			{Member: "sync-1", FirstSync: true, Dirty: 20, DirtySince: epoch.Add(-time.Minute), Quarantined: 2},
			{Member: "sync-2<b>", Silent: true},
		},
		Quarantined:      []api.Quarantined{{ID: "shop/v1/ConfigMap/odd", Reason: "labels: too long", Since: epoch}},
		UnknownDeletions: []string{"configmaps.v1", "secrets.v1"},
		HeldRepairs:      []api.HeldRepair{{Resource: "configmaps.v1", Source: "receiver", Member: "sync-1", Documents: 80, Limit: 50}},
	}
	f.Receivers = append(f.Receivers, api.FleetReceiver{Name: "shop/other", Endpoint: "http://other", Format: "dot-ai", Shares: []api.FleetShare{
		{Member: "sync-0", Self: true, Dirty: 1, DirtySince: epoch.Add(-time.Hour), LastSync: epoch.Add(-time.Hour)},
	}})
	return f
}
