//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	nodes      = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	widgetType = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
)

func client(t *testing.T, r *fleet.Rig) dynamic.Interface {
	t.Helper()
	config := r.RESTConfig()
	config.WarningHandler = rest.NoWarnings{} // an unknown status field does not matter here
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRestlessObjectIsDeliveredEveryMaxWait changes a label every second, which never leaves the window quiet.
func TestRestlessObjectIsDeliveredEveryMaxWait(t *testing.T) {
	beside(t, 30*time.Second)
	const (
		window, maxWait, flush = 2 * time.Second, 4 * time.Second, 500 * time.Millisecond
		// slack is for kubectl, the watch and the request, on a busy machine.
		slack = 1500 * time.Millisecond
	)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "create", "configmap", "restless")
	p := r.Start(map[string]string{"DEBOUNCE_WINDOW_MS": ms(window), "DEBOUNCE_MAX_WAIT_MS": ms(maxWait), "BATCH_FLUSH_INTERVAL_MS": ms(flush)})
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)

	mark := r.Mark()
	objects := client(t, r).Resource(configMaps).Namespace("default")
	began := time.Now()
	changes := 0
	for tick := time.NewTicker(time.Second); time.Since(began) < 15*time.Second; changes++ {
		body := fmt.Sprintf(`{"metadata":{"labels":{"change":"%d"}}}`, changes)
		if _, err := objects.Patch(t.Context(), "restless", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	ended := time.Now()
	r.WaitEqual(converge)
	deliveries, last := 0, began
	for _, rec := range r.Since(mark) {
		for _, u := range rec.Upserts {
			if u.ID != "default/v1/ConfigMap/restless" {
				continue
			}
			deliveries++
			if gap := rec.Begin.Sub(last); gap > maxWait+flush+slack {
				t.Errorf("%v without a delivery, want at most %v", gap.Round(time.Millisecond), maxWait+flush)
			}
			last = rec.Begin
		}
	}
	t.Logf("%d changes in %v, %d deliveries", changes, ended.Sub(began).Round(time.Second), deliveries)
	if deliveries >= changes/2 {
		t.Errorf("%d deliveries of %d changes: nothing was debounced", deliveries, changes)
	}
	if gap := ended.Sub(last); gap > maxWait+flush+slack {
		t.Errorf("%v without a delivery at the end", gap.Round(time.Millisecond))
	}
}

// TestStatusUpdatesSendNothing makes 2,500 updates, or 10,000 in the full measure, of built-in and custom types.
func TestStatusUpdatesSendNothing(t *testing.T) {
	besideUnlessMeasured(t, 40*time.Second)
	const objects = 40
	updates := 2500
	if os.Getenv("E2E_LONG") != "" {
		updates = 10_000
	}
	r := fleet.New(t, fleet.Options{})
	r.Apply(widgets("v1"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
	fill(r, "v1", objects)
	var manifest strings.Builder
	for i := range objects {
		fmt.Fprintf(&manifest, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d}}\n", i)
	}
	r.Apply(manifest.String())
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)
	waitCheckpoint(t, r, p)

	mark, seen := r.Mark(), p.Metric("k8s_vectordb_sync_unchanged_total")
	all := client(t, r)
	const workers = 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range updates / workers {
				n := (w + i*workers) % (2 * objects)
				at, name := dynamic.ResourceInterface(all.Resource(nodes)), fmt.Sprintf("node-%d", n/2)
				if n%2 == 0 {
					at, name = all.Resource(widgetType).Namespace("default"), fmt.Sprintf("widget-%d", n/2)
				}
				patch, err := json.Marshal(map[string]any{"status": map[string]any{"phase": "Running", "observedGeneration": i, "capacity": map[string]any{"cpu": fmt.Sprint(w*updates + i)}}})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := at.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fmt.Sprintf("manager-%d", i%3)}, "status"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	fleet.Eventually(t, converge, func() string {
		if n := p.Metric("k8s_vectordb_sync_unchanged_total") - seen; n < float64(updates) {
			return fmt.Sprintf("the replica has seen %v updates of %d", n, updates)
		}
		return ""
	})
	p.WaitInStep(converge)
	for _, rec := range r.Since(mark) {
		for _, u := range rec.Upserts {
			if u.ID != string(checkpoint(p)) {
				t.Errorf("%s was sent", u.ID)
			}
		}
		if len(rec.Deletes) > 0 {
			t.Errorf("%v was deleted", rec.Deletes)
		}
	}
	r.WaitEqual(converge)
}
