//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// threeOf starts three replicas with the names of a StatefulSet's pods, each with a directory of its own or none.
func threeOf(r *fleet.Rig, dirs []string, env map[string]string) []*fleet.Replica {
	var all []*fleet.Replica
	for i := range 3 {
		all = append(all, one(r, i, dirs, env))
	}
	return all
}

func one(r *fleet.Rig, i int, dirs []string, env map[string]string) *fleet.Replica {
	all := map[string]string{"POD_NAME": fmt.Sprintf("k8s-vectordb-sync-%d", i), "STATE_DIR": ""}
	if dirs != nil {
		all["STATE_DIR"] = dirs[i]
	}
	maps.Copy(all, env)
	return r.Start(all)
}

// atOnce stops replicas at the same time.
func atOnce(t *testing.T, all []*fleet.Replica) {
	t.Helper()
	var ends sync.WaitGroup
	for _, p := range all {
		ends.Go(func() {
			if code := p.Stop(time.Minute); code != 0 {
				t.Errorf("%s ended with %d", p.Name, code)
			}
		})
	}
	ends.Wait()
}

// restful waits until all are ready, equal and in step, and no object is in doubt. It returns how long after the
// first replica was ready the receiver was equal, and how many objects there are.
func restful(t *testing.T, r *fleet.Rig, all []*fleet.Replica, within time.Duration, except ...resource.ID) (took time.Duration, objects int) {
	t.Helper()
	ready := make(chan time.Time, len(all))
	for _, p := range all {
		go func() { // Ends before the test does: the others are waited for below.
			p.WaitReady(time.Minute)
			ready <- time.Now()
		}()
	}
	first := <-ready
	_, objects = r.WaitEqual(within, except...)
	took = time.Since(first)
	for range all[1:] {
		<-ready
	}
	agreed(t, time.Minute, all...)
	for _, p := range all {
		p.WaitInStep(time.Minute)
	}
	return took, objects
}

// TestNothingIsSentAgain restarts three replicas in all usual ways.
func TestNothingIsSentAgain(t *testing.T) {
	longOnly(t)
	r := fleet.New(t, fleet.Options{})
	cluster(t, r, 20_000)
	pods := func(chart string) {
		manifest := fmt.Sprintf("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: k8s-vectordb-sync, namespace: default, labels: {helm.sh/chart: %q}}, "+
			"spec: {serviceName: k8s-vectordb-sync, replicas: 3, selector: {matchLabels: {app: k8s-vectordb-sync}}, "+
			"template: {metadata: {labels: {app: k8s-vectordb-sync, helm.sh/chart: %q}}, spec: {containers: [{name: a, image: a}]}}}}\n", chart, chart)
		for i := range 3 {
			manifest += fmt.Sprintf("---\n{apiVersion: v1, kind: Pod, metadata: {name: k8s-vectordb-sync-%d, namespace: default, labels: {app: k8s-vectordb-sync, helm.sh/chart: %q}}, "+
				"spec: {containers: [{name: a, image: a}]}}\n", i, chart)
		}
		r.Apply(manifest)
	}
	pods("k8s-vectordb-sync-1.0.0")
	all := threeOf(r, nil, nil)
	_, n := restful(t, r, all, 2*time.Minute)
	stats := func(t *testing.T, what string, mark uint64) {
		t.Helper()
		again := r.Receiver().Stats().Upserts - int(mark)
		t.Logf("%s: %d of %d objects were sent again, %.2f %%", what, again, n, 100*float64(again)/float64(n))
		if again*100 > n {
			t.Errorf("%s: %d of %d objects were sent again, want 1 %% at most", what, again, n)
		}
	}
	for name, restart := range map[string]func(t *testing.T, r *fleet.Rig){
		"all at once": func(t *testing.T, r *fleet.Rig) {
			atOnce(t, all)
			all = threeOf(r, nil, nil)
		},
		"all killed": func(_ *testing.T, r *fleet.Rig) {
			for _, p := range all {
				p.Kill()
			}
			all = threeOf(r, nil, nil)
		},
		"one after the other": func(t *testing.T, r *fleet.Rig) {
			for i := len(all) - 1; i >= 0; i-- {
				stopAll(t, all[i])
				all[i] = one(r, i, nil, nil)
				all[i].WaitReady(time.Minute)
				agreed(t, time.Minute, all...)
			}
		},
		"another chart": func(t *testing.T, r *fleet.Rig) {
			for i := len(all) - 1; i >= 0; i-- {
				stopAll(t, all[i])
				r.Kube("", "delete", "pod", all[i].Name, "--grace-period=0", "--force")
				if i == len(all)-1 {
					pods("k8s-vectordb-sync-1.1.0")
				}
				all[i] = one(r, i, nil, map[string]string{"LOG_LEVEL": "debug"})
				all[i].WaitReady(time.Minute)
				agreed(t, time.Minute, all...)
			}
			pods("k8s-vectordb-sync-1.1.0")
		},
	} {
		mark := uint64(r.Receiver().Stats().Upserts)
		restart(t, r)
		restful(t, r, all, time.Minute)
		stats(t, name, mark)
	}
}

// victims are a share of a cluster's objects, spread over the types that are sent. It leaves out objects on which
// others depend, and objects that are not gone at once.
func victims(c *workload.Cluster, of int) []resource.ID {
	ids := c.IDs()
	slices.Sort(ids)
	var chosen []resource.ID
	seen := make(map[string]int)
	for _, id := range ids {
		parts, err := resource.ParseID(string(id))
		if err != nil || strings.HasPrefix(parts.Kind, "PersistentVolume") || parts.Kind == "IPAddress" || parts.Kind == "APIService" ||
			parts.Kind == "EndpointSlice" || parts.Kind == "Event" || parts.Kind == "Lease" || strings.Contains(parts.Kind, "AdmissionPolicy") || strings.Contains(parts.Kind, "WebhookConfiguration") {
			continue
		}
		key := parts.APIVersion + "/" + parts.Kind
		if seen[key]++; seen[key]%of == of/2 {
			chosen = append(chosen, id)
		}
	}
	return chosen
}

// deleteAll deletes objects.
func deleteAll(t *testing.T, r *fleet.Rig, ids []resource.ID) {
	t.Helper()
	types, err := workload.Types(r.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(r.RESTConfig())
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	byKind := make(map[string]resource.Type)
	for _, typ := range types {
		byKind[typ.APIVersion()+"/"+typ.Kind] = typ
	}
	work := make(chan resource.ID)
	var workers sync.WaitGroup
	now := int64(0)
	for range 16 {
		workers.Go(func() {
			for id := range work {
				parts, err := resource.ParseID(string(id))
				if err != nil {
					t.Error(err)
					continue
				}
				namespace := parts.Namespace
				if namespace == resource.ClusterNamespace {
					namespace = ""
				}
				typ := byKind[parts.APIVersion+"/"+parts.Kind]
				err = client.Resource(typ.GVR()).Namespace(namespace).Delete(t.Context(), parts.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
				if err != nil && !apierrors.IsNotFound(err) {
					t.Errorf("deleting %s: %v", id, err)
				}
			}
		})
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	workers.Wait()
}

// kinds counts the types of objects.
func kinds(ids []resource.ID) int {
	all := make(map[string]bool)
	for _, id := range ids {
		parts, err := resource.ParseID(string(id))
		if err == nil {
			all[parts.APIVersion+"/"+parts.Kind] = true
		}
	}
	return len(all)
}

// TestAThousandDeletionsThatNobodySaw deletes a twentieth of all objects while no replica runs, with fewer and fewer
// sources left that could tell.
func TestAThousandDeletionsThatNobodySaw(t *testing.T) {
	longOnly(t)
	t.Run("cluster-whisperer", func(t *testing.T) {
		r := fleet.New(t, fleet.Options{})
		c := cluster(t, r, 20_000)
		chosen := victims(c, 6)
		first, second, third := split(chosen)
		dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
		all := threeOf(r, nil, nil)
		restful(t, r, all, 2*time.Minute)

		t.Run("after 60 s, without a volume", func(t *testing.T) {
			atOnce(t, all)
			deleteAll(t, r, first)
			fleet.Pause(time.Minute)
			all = threeOf(r, nil, nil)
			took, n := restful(t, r, all, time.Minute)
			t.Logf("%d deletions of %d types were gone %v after the first replica was ready; %d objects are left", len(first), kinds(first), took.Round(time.Millisecond), n)
		})
		t.Run("after compaction, with the inventory", func(t *testing.T) {
			atOnce(t, all)
			all = threeOf(r, dirs, nil)
			restful(t, r, all, time.Minute)
			atOnce(t, all)
			deleteAll(t, r, second)
			compacted(t, r)
			all = threeOf(r, dirs, nil)
			took, n := restful(t, r, all, time.Minute)
			t.Logf("%d deletions of %d types were gone %v after the first replica was ready; %d objects are left", len(second), kinds(second), took.Round(time.Millisecond), n)
		})
		t.Run("with nothing to go by", func(t *testing.T) {
			atOnce(t, all)
			all = threeOf(r, nil, nil)
			restful(t, r, all, time.Minute)
			atOnce(t, all)
			deleteAll(t, r, third)
			compacted(t, r)
			all = threeOf(r, nil, nil)
			for _, p := range all {
				p.WaitReady(time.Minute)
			}
			fleet.Eventually(t, time.Minute, func() string {
				for _, p := range all {
					if got := p.Status().Targets[0].UnknownDeletions; len(got) < kinds(third) {
						return fmt.Sprintf("%s says of %d types that deletions are unknown, want %d at least", p.Name, len(got), kinds(third))
					}
				}
				return ""
			})
			documents := r.Documents()
			for _, id := range third {
				if _, there := documents[id]; !there {
					t.Fatalf("%s was deleted on a guess", id)
				}
			}
			t.Logf("%d deletions of %d types are reported, and none is guessed", len(third), kinds(third))
		})
	})
	t.Run("dot-ai", func(t *testing.T) {
		r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
		c := cluster(t, r, 8000) // dot-ai lists 10,000 documents at most
		chosen := victims(c, 20)
		all := threeOf(r, nil, nil)
		restful(t, r, all, 2*time.Minute)
		atOnce(t, all)
		deleteAll(t, r, chosen)
		compacted(t, r)
		all = threeOf(r, nil, nil)
		took, n := restful(t, r, all, 5*time.Minute)
		t.Logf("%d deletions of %d types were gone %v after the first replica was ready, by the receiver's own list; %d objects are left",
			len(chosen), kinds(chosen), took.Round(time.Millisecond), n)
		fleet.Eventually(t, 2*time.Minute, func() string {
			for _, p := range all {
				if got := p.Status().Targets[0]; len(got.UnknownDeletions)+len(got.HeldRepairs) > 0 {
					return fmt.Sprintf("%s: unknown %v, held %v", p.Name, got.UnknownDeletions, got.HeldRepairs)
				}
			}
			return ""
		})
	})
}

// split deals objects out into three shares, evenly over the types.
func split(ids []resource.ID) (a, b, c []resource.ID) {
	for i, id := range ids {
		switch i % 3 {
		case 0:
			a = append(a, id)
		case 1:
			b = append(b, id)
		default:
			c = append(c, id)
		}
	}
	return a, b, c
}

// compacted has the API server forget its history.
func compacted(t *testing.T, r *fleet.Rig) {
	t.Helper()
	if _, err := r.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.StopAPIServer(true); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestATypeThatWentWhileNobodyRan removes a definition with its objects while no replica runs. The inventory names
// them, once discovery is sure. Without an inventory, the replica reports that no source can tell.
func TestATypeThatWentWhileNobodyRan(t *testing.T) {
	longOnly(t)
	r := fleet.New(t, fleet.Options{})
	dir := t.TempDir()
	for _, remembers := range []bool{true, false} {
		r.Apply(widgets("v1"))
		r.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
		fill(r, "v1", 20)
		env := map[string]string{"POD_NAME": "sync-0", "STATE_DIR": ""}
		if remembers {
			env["STATE_DIR"] = dir
		}
		p := r.Start(env)
		settleIn(r, p)
		stopAll(t, p)
		r.Kube("", "delete", "crd", "widgets.example.com")
		p = r.Start(env)
		p.WaitReady(time.Minute)
		if remembers {
			took, _ := r.WaitEqual(4 * time.Minute)
			t.Logf("20 documents of a type that is gone were deleted %v after the replica was ready", took.Round(time.Second))
			stopAll(t, p)
			continue
		}
		fleet.Eventually(t, time.Minute, func() string {
			if got := p.Status().Targets[0].UnknownDeletions; !slices.Equal(got, []string{"widgets.v1.example.com"}) {
				return fmt.Sprintf("said to be unknown: %v", got)
			}
			return ""
		})
	}
}
