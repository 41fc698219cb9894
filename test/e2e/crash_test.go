//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestACrashCostsFewEmbeddings kills one of three replicas while forty objects a second change, and restarts all of
// them right after. Only states that the dead replica may have sent without an acknowledgement are sent again.
func TestACrashCostsFewEmbeddings(t *testing.T) {
	longOnly(t)
	r := fleet.New(t, fleet.Options{})
	config := rest.CopyConfig(r.RESTConfig())
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	maps := client.CoreV1().ConfigMaps("default")
	const objects, changes = 200, 1600
	for i := range objects {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("changing-%d", i)}}
		if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.SetFaults(receiver.Rule{Name: "slow", Match: receiver.Match{Array: "upserts"}, Effect: receiver.Effect{Delay: receiver.Duration(300 * time.Millisecond)}})
	env := map[string]string{"DEBOUNCE_WINDOW_MS": "1000", "BATCH_FLUSH_INTERVAL_MS": "1000"}
	all := threeOf(r, nil, env)
	restful(t, r, all, time.Minute)
	mark := r.Mark()
	embedded := func() (n int) {
		for _, q := range r.Since(mark) {
			for _, u := range q.Upserts {
				if strings.Contains(u.ID, "/changing-") {
					n++
				}
			}
		}
		return n
	}
	tick := time.NewTicker(time.Second / 40)
	defer tick.Stop()
	for i := range changes {
		<-tick.C
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{"n": fmt.Sprint(i)}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := maps.Patch(t.Context(), fmt.Sprintf("changing-%d", i%objects), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if i == changes/2 {
			all[2].Kill()
		}
	}
	before := embedded()
	atOnce(t, all[:2])
	all = threeOf(r, nil, env)
	restful(t, r, all, time.Minute)
	at := embedded()
	fleet.Eventually(t, 8*time.Minute, func() string { // until the settle time of the last doubt is over
		for _, p := range all {
			for _, target := range p.Status().Targets {
				if target.Unknown > 0 {
					return fmt.Sprintf("%d are in doubt", target.Unknown)
				}
			}
		}
		return ""
	})
	r.WaitEqual(time.Minute)
	n := embedded()
	t.Logf("%d changes, %d embeddings: %d before the restart, %d until equal", changes, n, before, at)
	if n > changes*115/100 {
		t.Errorf("%d embeddings for %d changes, want at most 1.15 times as many", n, changes)
	}
}
