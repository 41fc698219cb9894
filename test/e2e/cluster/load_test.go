//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// load is the objects that the stories change. It is made once and goes with the last test. Its types wake no
// controller of the cluster, so that only the stories cause changes.
type load struct {
	cluster *workload.Cluster
	anew    map[resource.ID]bool // created, or created again
	changed map[resource.ID]bool // changed in any way since the last forget
	seed    uint64
}

// theLoad is made by the first story that needs it.
var theLoad *load

func makeLoad(ctx context.Context) (*load, error) {
	inert := map[string]bool{
		"configmaps": true, "secrets": true, "serviceaccounts": true, "roles": true, "rolebindings": true,
		"networkpolicies": true, "ingresses": true, "limitranges": true, "podtemplates": true,
	}
	plan, err := workload.Plan(workload.Options{Objects: 4000, Namespaces: 12, Seed: 1})
	if err != nil {
		return nil, err
	}
	suffix := "-" + strconv.FormatInt(time.Now().Unix(), 36) // an earlier run may have left its objects
	var kept []workload.Object
	for _, o := range plan {
		kind := o.Type.Resource
		custom := strings.HasSuffix(o.Type.Group, "example.com")
		if kind != "namespaces" && kind != "customresourcedefinitions" && !inert[kind] && !custom {
			continue
		}
		switch {
		case kind == "namespaces":
			o.Manifest.SetName(o.Manifest.GetName() + suffix)
		case o.Type.Namespaced:
			o.Manifest.SetNamespace(o.Manifest.GetNamespace() + suffix)
		}
		o.Manifest.SetFinalizers(nil)
		o.Owner = -1
		kept = append(kept, o)
	}
	c, err := workload.Apply(ctx, config, kept)
	if err != nil {
		return nil, fmt.Errorf("making the load: %w", err)
	}
	return &load{cluster: c, anew: make(map[resource.ID]bool), changed: make(map[resource.ID]bool)}, nil
}

// loaded returns the load.
func loaded(t testing.TB) *load {
	t.Helper()
	if theLoad == nil {
		l, err := makeLoad(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		theLoad = l
	}
	return theLoad
}

// during makes 200 changes a second for as long as f runs, and returns when both have ended. Changes may fail only
// where the API server does. Each slice of changes is made to its end: the outcome of a change that is cut off would
// be unknown.
func (l *load) during(t *testing.T, mayFail bool, f func()) {
	t.Helper()
	var changes []workload.Change
	began := time.Now()
	over := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() { // Ends with over.
		for {
			l.seed++
			changes = append(changes, l.cluster.Churn(t.Context(), workload.ChurnOptions{Rate: rate, Changes: 2 * rate, Workers: 96, Seed: l.seed})...)
			select {
			case <-over:
				return
			default:
			}
		}
	})
	func() {
		defer churn.Wait()
		defer close(over)
		f()
	}()
	failed := 0
	for _, c := range changes {
		if c.Err != nil && !apierrors.IsNotFound(c.Err) {
			if failed++; !mayFail {
				t.Errorf("%s of %s: %v", c.Op, c.ID, c.Err)
			}
		}
		l.changed[c.ID] = true
		if c.Op == workload.OpCreate || c.Op == workload.OpRecreate {
			l.anew[c.ID] = true
		}
	}
	took := time.Since(began)
	t.Logf("%.0f changes a second for %v, %d of them refused: %v", float64(len(changes))/took.Seconds(), took.Round(time.Second), failed, workload.Count(changes))
	if len(changes) < 100 {
		t.Errorf("only %d changes were made", len(changes))
	}
}

// check compares the requests to the receiver since a mark with the promises. Of so many objects at most one in a
// hundred was sent again without a reason, and no object was in two requests at once.
func (l *load) check(r *receiverPod, mark uint64, objects int) {
	r.t.Helper()
	l.hold(r, mark, objects, func(id resource.ID) bool { return l.anew[id] })
}

// checkAfterCrash is check after a replica has vanished without a last checkpoint. The successor cannot know its
// deliveries since its last checkpoint, and sends them again. So objects that changed meanwhile have a reason, and
// no others.
func (l *load) checkAfterCrash(r *receiverPod, mark uint64, objects int) {
	r.t.Helper()
	l.hold(r, mark, objects, func(id resource.ID) bool { return l.anew[id] || l.changed[id] })
}

// forget begins to count changed objects anew.
func (l *load) forget() { clear(l.changed) }

func (l *load) hold(r *receiverPod, mark uint64, objects int, reason func(resource.ID) bool) {
	r.t.Helper()
	again := fleet.Unexplained(r.since(mark), reason)
	r.t.Logf("%d upserts changed nothing without a reason: %.2f %% of %d objects", len(again), 100*float64(len(again))/float64(objects), objects)
	if 100*len(again) > objects {
		r.t.Errorf("%d of %d objects were sent again, such as %v", len(again), objects, again[:min(5, len(again))])
	}
	if s := r.stats(); s.Overlaps > 0 || s.InBoth > 0 {
		r.t.Errorf("%d times two requests held one ID, %d IDs were in both arrays", s.Overlaps, s.InBoth)
	}
}
