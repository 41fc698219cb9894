package workload_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

func TestSameSeedMakesTheSameChurn(t *testing.T) {
	plan, err := workload.Plan(workload.Options{Objects: 400, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	// One worker: the order of the requests of several workers is not decided, only that of each one.
	churn := func(seed uint64) []string {
		var log requests
		c := workload.NewCluster(&log, plan)
		changes := c.Churn(t.Context(), workload.ChurnOptions{Rate: -1, Changes: 300, Workers: 1, Seed: seed})
		if len(changes) != 300 {
			t.Fatalf("%d changes, want 300", len(changes))
		}
		return log.made
	}
	first := churn(1)
	if diff := cmp.Diff(first, churn(1)); diff != "" {
		t.Errorf("seed 1 made two churns (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, churn(2)) {
		t.Error("seeds 1 and 2 made the same churn")
	}
}

func TestChurnMakesEveryKindOfChange(t *testing.T) {
	plan, err := workload.Plan(workload.Options{Objects: 400, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	c := workload.NewCluster(&requests{}, plan)
	counts := workload.Count(c.Churn(t.Context(), workload.ChurnOptions{Rate: -1, Changes: 1003, Workers: 4}))
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 1003 {
		t.Errorf("%d changes, want 1003", total)
	}
	for _, op := range []workload.Op{"label", "describe", "flip", "status", "noise", "delete", "recreate", "create"} {
		if counts[op] == 0 {
			t.Errorf("no %s in %v", op, counts)
		}
	}
}

func TestChurnEndsWithItsContext(t *testing.T) {
	plan, err := workload.Plan(workload.Options{Objects: 100})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := requests{after: func(n int) {
		if n == 20 {
			cancel()
		}
	}}
	changes := workload.NewCluster(&log, plan).Churn(ctx, workload.ChurnOptions{Rate: -1, Workers: 1})
	if len(changes) == 0 || len(changes) > 20 {
		t.Errorf("%d changes, want those of the 20 requests before the context ended", len(changes))
	}
}

// requests is a client that records its requests, and sends none.
type requests struct {
	mu    sync.Mutex // guards made
	made  []string
	after func(int)
}

func (r *requests) Resource(gvr schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return &scoped{requests: r, at: gvr.String()}
}

func (r *requests) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.after != nil {
		r.after(len(r.made) + 1)
	}
	r.made = append(r.made, s)
}

type scoped struct {
	dynamic.ResourceInterface
	requests *requests
	at       string
}

func (s *scoped) Namespace(ns string) dynamic.ResourceInterface {
	return &scoped{requests: s.requests, at: s.at + "/" + ns}
}

func (s *scoped) Create(_ context.Context, o *unstructured.Unstructured, _ metav1.CreateOptions, _ ...string) (*unstructured.Unstructured, error) {
	s.requests.note(fmt.Sprintf("create %s/%s", s.at, o.GetName()))
	return o, nil
}

func (s *scoped) Delete(_ context.Context, name string, _ metav1.DeleteOptions, _ ...string) error {
	s.requests.note(fmt.Sprintf("delete %s/%s", s.at, name))
	return nil
}

func (s *scoped) Patch(
	_ context.Context, name string, _ types.PatchType, body []byte, _ metav1.PatchOptions, subresources ...string,
) (*unstructured.Unstructured, error) {
	s.requests.note(fmt.Sprintf("patch %s/%s%v %s", s.at, name, subresources, body))
	return nil, nil
}
