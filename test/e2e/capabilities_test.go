//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// gadgetDefinition is a definition whose schema has room for more.
const gadgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, listKind: GadgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object%s}}}]
`

// TestDefinitionsAreScannedOnceByTheFleet has two replicas that see a definition. One of them reports it, once, and
// reports its removal when it is deleted.
func TestDefinitionsAreScannedOnceByTheFleet(t *testing.T) {
	besideWaiting(t, 100*time.Second)
	const name = "gadgets.example.com"
	r := fleet.New(t, fleet.Options{})
	r.Apply(fmt.Sprintf(gadgetDefinition, ""))
	env := map[string]string{
		"CAPABILITIES_ENDPOINT":  "http://" + r.ReceiverAddress() + "/api/v1/capabilities/scan",
		"EXCLUDE_RESOURCE_TYPES": "events,leases,endpointslices,customresourcedefinitions",
	}
	p, q := r.Start(env), r.Start(env)
	p.WaitReady(time.Minute)
	q.WaitReady(time.Minute)

	scans := func() (added, removed int) {
		for _, rec := range r.Receiver().Requests(0) {
			if !strings.HasSuffix(rec.Path, "/capabilities/scan") {
				continue
			}
			if slices.ContainsFunc(rec.Upserts, func(u receiver.Upsert) bool { return u.ID == name }) {
				added++
			}
			if slices.Contains(rec.Deletes, name) {
				removed++
			}
		}
		return added, removed
	}
	eventually := func(wantAdded, wantRemoved int) {
		t.Helper()
		fleet.Eventually(t, 3*time.Minute, func() string {
			if added, removed := scans(); added != wantAdded || removed != wantRemoved {
				return fmt.Sprintf("it was added %d times and removed %d times, want %d and %d", added, removed, wantAdded, wantRemoved)
			}
			return ""
		})
	}
	eventually(1, 0)

	r.Kube("", "label", "crd", name, "helm.sh/chart=gadgets-2")
	r.Apply(strings.NewReplacer("gadget", "gizmo", "Gadget", "Gizmo").Replace(fmt.Sprintf(gadgetDefinition, "")))
	fleet.Eventually(t, 3*time.Minute, func() string { // a definition that is newer than the label
		for _, rec := range r.Receiver().Requests(0) {
			if slices.ContainsFunc(rec.Upserts, func(u receiver.Upsert) bool { return u.ID == "gizmos.example.com" }) {
				return ""
			}
		}
		return "the later definition is not scanned"
	})
	eventually(1, 0)
	r.Apply(fmt.Sprintf(gadgetDefinition, ", properties: {spec: {type: object}}"))
	eventually(2, 0)
	if _, there := r.Documents()["_cluster/apiextensions.k8s.io/v1/CustomResourceDefinition/"+name]; there {
		t.Error("the definition is an instance, too")
	}
	r.Kube("", "delete", "crd", name)
	eventually(2, 1)
	if got := r.Kube("", "get", "configmap", "k8s-vectordb-sync-capabilities", "-o", "jsonpath={.data.scanned}"); strings.Contains(got, name) {
		t.Errorf("what was scanned is %s, want it without %s", got, name)
	}
}
