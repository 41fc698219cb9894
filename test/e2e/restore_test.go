//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestARestoredEtcdIsNoticedAndRepaired is the story of a cluster that goes back to a backup while replicas run.
// Documents of later writes must not stay at the receiver, and new writes must arrive, without a restart by a
// person.
func TestARestoredEtcdIsNoticedAndRepaired(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]controlplane.RestoreOptions{
		"plainly":                        {},
		"with a revision that is raised": {Bump: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			besideWaiting(t, 110*time.Second)
			r := fleet.New(t, fleet.Options{})
			writeConfigMaps(r, "kept", 40, "one")
			r.Apply(widgets("v1"))
			r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.example.com")
			fill(r, "v1", 20)
			replicas := []*fleet.Replica{r.Start(nil), r.Start(nil), r.Start(nil)}
			for _, p := range replicas {
				p.WaitReady(time.Minute)
			}
			r.WaitEqual(2 * converge)
			backup, err := r.Backup(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			lose(r)
			r.WaitEqual(2 * converge)
			before := cpuOf(replicas, 10*time.Second)

			if err := r.Restore(t.Context(), backup, opts); err != nil {
				t.Fatal(err)
			}
			restored := time.Now()
			r.Kube("", "create", "configmap", "after")
			fleet.Eventually(t, converge, func() string {
				for _, p := range replicas {
					if !noticed(p) {
						return p.Name + " has not noticed"
					}
				}
				return ""
			})
			t.Logf("noticed by all within %v", time.Since(restored).Round(100*time.Millisecond))
			took, objects := r.WaitEqual(2 * converge)
			t.Logf("%d objects equal %v after the API server was back, %v after it was noticed", objects,
				time.Since(restored).Round(100*time.Millisecond), took.Round(100*time.Millisecond))

			fleet.Eventually(t, converge, func() string {
				if got := eventsOf(r, "default", "RestoreNoticed"); len(got) != 1 {
					return fmt.Sprintf("Events of the restore: %q, want one", got)
				}
				return ""
			})
			fleet.Pause(10 * time.Second) // replicas write checkpoints meanwhile
			after := cpuOf(replicas, 20*time.Second)
			t.Logf("processor time a second and replica: %v before, %v after", before, after)
			if after > 2*before+50*time.Millisecond {
				t.Errorf("a replica takes %v of processor time a second after the restore, %v before", after, before)
			}
			conflicts := 0.0
			for _, p := range replicas {
				conflicts += p.Metric("k8s_vectordb_sync_resync_write_conflicts_total")
			}
			if conflicts > 20 {
				t.Errorf("%.0f writes of resyncs were refused since the start, want a handful", conflicts)
			}
			fill(r, "v1", 25) // further changes reach and pass versions of the lost time
			for i := range 6 {
				writeConfigMaps(r, fmt.Sprintf("more-%d", i), 50, "three")
			}
			r.WaitEqual(converge)
		})
	}
}

// writeConfigMaps makes or changes ConfigMaps.
func writeConfigMaps(r *fleet.Rig, prefix string, n int, label string) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s-%d, namespace: default, labels: {v: %q}}}\n", prefix, i, label)
	}
	r.Apply(b.String())
}

// lose makes changes that a restore takes back: objects made, changed and deleted, of several types, and a
// definition.
func lose(r *fleet.Rig) {
	writeConfigMaps(r, "lost", 60, "one")
	writeConfigMaps(r, "kept", 15, "two")
	r.Kube("", "delete", "configmap", "kept-30", "kept-31", "kept-32", "kept-33")
	r.Kube("", "create", "namespace", "lost")
	r.Kube("", "delete", "widgets.example.com", "widget-3", "widget-4")
	r.Kube("", "label", "widgets.example.com", "--all", "v=two")
	r.Apply(strings.ReplaceAll(strings.ReplaceAll(widgets("v1"), "widget", "gizmo"), "Widget", "Gizmo"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/gizmos.example.com")
}

// noticed tells whether a replica has noticed that versions have begun anew.
func noticed(p *fleet.Replica) bool {
	return p.Metric("k8s_vectordb_sync_streams_restores_total")+p.Metric("k8s_vectordb_sync_rewinds_total") > 0
}

// cpuOf returns how much processor time a replica takes a second.
func cpuOf(replicas []*fleet.Replica, during time.Duration) time.Duration {
	var used time.Duration
	for _, p := range replicas {
		used -= p.CPU()
	}
	fleet.Pause(during)
	for _, p := range replicas {
		used += p.CPU()
	}
	return (used / time.Duration(len(replicas)) / time.Duration(during.Seconds())).Round(time.Millisecond)
}

// TestAResyncRepairsARestoreThatNobodySaw takes etcd back to a backup while no replica runs, checkpoints included,
// and no inventory is left. If the receiver can list its documents, a resync finds those of the lost time.
func TestAResyncRepairsARestoreThatNobodySaw(t *testing.T) {
	beside(t, 20*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	writeConfigMaps(r, "kept", 40, "one")
	p := r.Start(nil)
	settleIn(r, p)
	backup, err := r.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writeConfigMaps(r, "lost", 20, "one")
	writeConfigMaps(r, "kept", 10, "two")
	r.Kube("", "delete", "configmap", "kept-30", "kept-31")
	settleIn(r, p)
	stopAll(t, p)

	if err := r.Restore(t.Context(), backup, controlplane.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	r.Kube("", "create", "configmap", "after")
	p = r.Start(nil)
	p.WaitReady(time.Minute)
	agreed(t, 30*time.Second, p) // The Lease of the first is of the backup, and counts for some seconds.
	if op := postResync(t, p, "?scope=fleet"); op.OrphansDeleted < 20 || op.OrphansHeld > 0 {
		t.Errorf("%d orphans were deleted and %d held back, want the 20 that are lost", op.OrphansDeleted, op.OrphansHeld)
	}
	took, objects := r.WaitEqual(converge)
	t.Logf("%d objects equal %v after the resync", objects, took.Round(100*time.Millisecond))
}

// TestAnInventoryOfALostTimeRepairsARestoreThatNobodySaw takes etcd back to a backup while no replica runs,
// checkpoints included. The inventories are of the lost time. Objects that were created in it are deleted at the
// receiver, and objects that were changed or deleted in it are sent again, once by the fleet.
func TestAnInventoryOfALostTimeRepairsARestoreThatNobodySaw(t *testing.T) {
	beside(t, 50*time.Second)
	r := fleet.New(t, fleet.Options{})
	writeConfigMaps(r, "kept", 40, "one")
	dirs := []string{t.TempDir(), t.TempDir()}
	start := func() (replicas []*fleet.Replica) {
		for i, dir := range dirs {
			replicas = append(replicas, r.Start(map[string]string{"POD_NAME": fmt.Sprintf("sync-%d", i), "STATE_DIR": dir}))
		}
		return replicas
	}
	replicas := start()
	settleIn(r, replicas...)
	backup, err := r.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writeConfigMaps(r, "lost", 20, "one")
	writeConfigMaps(r, "kept", 10, "two")
	r.Kube("", "delete", "configmap", "kept-30", "kept-31")
	settleIn(r, replicas...)
	stopAll(t, replicas...)

	if err := r.Restore(t.Context(), backup, controlplane.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	replicas = start()
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	// An API server that is behind an inventory for a minute has gone back.
	took, objects := r.WaitEqual(time.Minute + 2*converge)
	t.Logf("%d objects equal %v after the restore", objects, took.Round(100*time.Millisecond))
	fleet.Pause(10 * time.Second) // No member begins another resync.
	_, body := document(t, replicas[0]).ask(t, http.MethodGet, "/api/v1/resync")
	if n := strings.Count(body, `"restore"`); n != 1 {
		t.Errorf("%d resyncs were begun by the restore, want one of the fleet: %s", n, body)
	}
}
