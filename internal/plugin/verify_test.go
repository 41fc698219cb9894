package plugin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// verified is a verification that has ended.
func verified(status api.OperationStatus, verdicts ...api.TypeVerdict) api.Verification {
	return api.Verification{
		ID: "v-1", Status: status, Member: "sync-0", StartedAt: epoch, FinishedAt: &epoch, Message: "types: some",
		Types: api.Progress{Done: len(verdicts), Total: len(verdicts)}, Verdicts: verdicts,
	}
}

func (b *backend) StartVerification(_ context.Context, resource string) (api.Verification, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = append(b.requests, api.Request{Resource: resource})
	if b.startErr != nil {
		return api.Verification{}, b.startErr
	}
	return api.Verification{ID: "v-1", Status: api.OperationRunning, Member: "sync-0", StartedAt: epoch, Types: api.Progress{Total: 2}, Message: "types: 2 pending"}, nil
}

func (b *backend) WaitVerification(context.Context, string) (api.Verification, error) {
	return api.Verification{}, &api.NotFoundError{What: "verification", Name: "the plugin does not wait there"}
}

func (b *backend) Verification(id string) (api.Verification, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.verified, id == b.verified.ID
}

func (b *backend) Verifications() []api.Verification { return nil }

var (
	equalPods    = api.TypeVerdict{Type: "pods.v1", Verdict: api.VerdictEqual, Objects: 7}
	repairedJobs = api.TypeVerdict{Type: "jobs.v1.batch", Verdict: api.VerdictRepaired, Objects: 3, Repaired: []string{"sync-1", "sync-2"}}
	failedJobs   = api.TypeVerdict{Type: "jobs.v1.batch", Verdict: api.VerdictFailed, Error: "forbidden"}
)

func TestVerify_EndsWithAVerdictByType(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  api.Verification
		code int
		want string
	}{
		"equal":    {verified(api.OperationDone, equalPods), 0, "verification v-1 done: types: some\n"},
		"repaired": {verified(api.OperationDone, equalPods, repairedJobs), 0, "sync-1,sync-2"},
		"failed":   {verified(api.OperationFailed, equalPods, failedJobs), 1, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := three()
			all[0].verified = tt.end
			got := runAll(t, all, "verify", "--resource", "jobs")
			if got.code != tt.code || !strings.Contains(got.out, tt.want) || strings.Contains(got.out, "pods.v1") {
				t.Errorf("got %+v, want exit code %d, %q, and nothing of what is equal", got, tt.code, tt.want)
			}
			if diff := cmp.Diff([]api.Request{{Resource: "jobs"}}, all[0].asked()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerify_ForPrograms_IsTheVerification(t *testing.T) {
	t.Parallel()
	all := three()
	all[0].verified = verified(api.OperationDone, equalPods)
	got := runAll(t, all, "verify", "-o", "json")
	want, err := json.MarshalIndent(all[0].verified, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want)+"\n", got.out); got.code != 0 || diff != "" {
		t.Errorf("exit code %d (-want +got):\n%s", got.code, diff)
	}
}

func TestVerify_TakesTooLong_GoesOn(t *testing.T) {
	t.Parallel()
	all := three()
	got := runAll(t, all, "verify", "--timeout", "1ms")
	if got.code != 1 || !strings.HasSuffix(got.errOut, "error: verification v-1 is not done after 1ms: types: 2 pending; it goes on\n") {
		t.Errorf("got %+v", got)
	}
}
