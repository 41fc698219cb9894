//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// eventsOf returns the Events of a reason about a workload, one line each: count, object and text.
func eventsOf(r *fleet.Rig, namespace, reason string) []string {
	out := r.Kube("", "get", "events", "-n", namespace, "--field-selector", "reason="+reason, "-o",
		`jsonpath={range .items[*]}{.count} {.involvedObject.kind}/{.involvedObject.name} {.message}{"\n"}{end}`)
	return strings.FieldsFunc(out, func(c rune) bool { return c == '\n' })
}

// tells waits until there is exactly one Event of a reason about a workload with a text.
func tells(t *testing.T, r *fleet.Rig, reason, about, text string) {
	t.Helper()
	fleet.Eventually(t, converge, func() string {
		got := eventsOf(r, "default", reason)
		if len(got) != 1 || !strings.HasPrefix(got[0], "1 "+about+" ") || !strings.Contains(got[0], text) {
			return fmt.Sprintf("Events %s are %q, want one about %s that says %q", reason, got, about, text)
		}
		return ""
	})
}

const theSet = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: sync, namespace: default}, spec: {serviceName: sync, selector: {matchLabels: {a: b}},
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}`

// TestEventsTellOperatorsOnce has three replicas meet the same: the receiver goes down and comes back, and one of
// them loses events. Each is reported by one Event about the StatefulSet, which kubectl describe finds by its UID.
func TestEventsTellOperatorsOnce(t *testing.T) {
	beside(t, 50*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Apply(theSet)
	l := newThreeLost(t, r)
	a, unlucky := between(t, r)
	var replicas []*fleet.Replica
	for _, env := range []map[string]string{{}, {}, unlucky} {
		env["STATEFUL_SET_NAME"], env["VERIFY_INTERVAL_MIN"] = "sync", "0"
		replicas = append(replicas, r.Start(env))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	r.WaitEqual(converge)

	r.SetFaults(receiver.Rule{Effect: receiver.Effect{Status: 503}})
	writeConfigMaps(r, "meanwhile", 30, "one") // so that each of them has something to send
	tells(t, r, "ReceiverDown", "StatefulSet/sync", "503")
	r.SetFaults()
	tells(t, r, "ReceiverBack", "StatefulSet/sync", r.SyncURL())
	r.WaitEqual(converge)
	waitCheckpoint(t, r, replicas[0])

	l.lose(t, a)
	tells(t, r, "DivergenceFound", "StatefulSet/sync", "configmaps.v1")
	r.WaitEqual(converge)
	tells(t, r, "ReceiverDown", "StatefulSet/sync", "") // as before: none was added
	tells(t, r, "ReceiverBack", "StatefulSet/sync", "")
	if described := r.Kube("", "describe", "statefulset", "sync"); !strings.Contains(described, "ReceiverBack") {
		t.Errorf("kubectl describe does not show the Events:\n%s", described)
	}
}
