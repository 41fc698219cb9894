package api_test

import (
	"context"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// verification is a verification with every field set, for the answers of the scripted backend.
func verification(status api.OperationStatus) api.Verification {
	end := epoch
	v := api.Verification{
		ID: "v-0", Status: status, Resource: "pods", Member: "sync-0", StartedAt: epoch, Types: api.Progress{Done: 1, Total: 2}, Message: "1 type repaired",
		Verdicts: []api.TypeVerdict{
			{Type: "pods.v1", Verdict: api.VerdictRepaired, Objects: 7, Repaired: []string{"sync-1"}},
			{Type: "jobs.v1.batch", Verdict: api.VerdictFailed, Error: "forbidden"},
		},
	}
	if status != api.OperationRunning {
		v.FinishedAt = &end
	}
	return v
}

func (b *backend) StartVerification(_ context.Context, resource string) (api.Verification, error) {
	if b.startErr != nil {
		return api.Verification{}, b.startErr
	}
	v := verification(api.OperationRunning)
	v.Resource = resource
	return v, nil
}

func (b *backend) WaitVerification(ctx context.Context, id string) (api.Verification, error) {
	if ctx.Err() != nil {
		return api.Verification{}, ctx.Err()
	}
	if _, ok := b.Verification(id); !ok {
		return api.Verification{}, &api.NotFoundError{What: "verification", Name: id}
	}
	return verification(api.OperationDone), nil
}

func (b *backend) Verification(id string) (api.Verification, bool) {
	return verification(api.OperationRunning), id == "v-0"
}

func (b *backend) Verifications() []api.Verification {
	return []api.Verification{verification(api.OperationDone)}
}

func TestVerify_WaitsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	w := do(t, h, "POST", "/api/v1/verify?resource=Pods", "")
	if v := decode[api.Verification](t, w); w.Code != 200 || v.Status != api.OperationDone {
		t.Errorf("waiting is answered %d %+v", w.Code, v)
	}
	w = do(t, h, "POST", "/api/v1/verify?resource=Pods&wait=false", "")
	if v := decode[api.Verification](t, w); w.Code != 202 || v.Resource != "pods" || w.Header().Get("Location") != "/api/v1/verify/v-0" {
		t.Errorf("not waiting is answered %d %+v, see %q", w.Code, v, w.Header().Get("Location"))
	}
}

// TestVerify_ParametersOfAResync_AreRefused: a parameter of a resync alone is refused, for its writer expects a
// resync.
func TestVerify_ParametersOfAResync_AreRefused(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for _, query := range []string{"?force=true", "?namespace=shop", "?scope=replica", "?resorce=pods"} {
		if w := do(t, h, "POST", "/api/v1/verify"+query, ""); w.Code != 400 {
			t.Errorf("%s is answered %d, want 400", query, w.Code)
		}
	}
}
