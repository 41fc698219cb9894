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

// TestAReceiverWhoseObjectKeepsChangingLosesNothing changes one object again and again while the cluster changes and
// the receiver is busy. One of the specs cannot be followed. Then the object goes, and all checkpoints of the
// receiver with it.
func TestAReceiverWhoseObjectKeepsChangingLosesNothing(t *testing.T) {
	longOnly(t)
	beside(t, 2*time.Minute)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "apply", "--server-side", "-f", definition)
	c := cluster(t, r, 500)
	steady, restless := newOutlet(t, dotAIPath, false), newOutlet(t, dotAIPath, false)
	replicas := []*fleet.Replica{r.Start(onlyDeclared()), r.Start(onlyDeclared())}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	r.Kube("", "create", "namespace", "dot-ai")
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Apply(declaration(t, "steady", map[string]any{"mcpEndpoint": steady.url()}) + declaration(t, "restless", map[string]any{"mcpEndpoint": restless.url()}))
	steady.waitEqual(t, r, sees{}, converge)
	restless.waitEqual(t, r, sees{}, converge)

	patch := func(spec string) {
		r.Kube("", "patch", "resourcesyncconfig", "restless", "-n", "dot-ai", "--type=merge", "-p", `{"spec":`+spec+`}`)
	}
	if err := restless.receiver.SetFaults(receiver.Rule{Match: receiver.Match{Percent: 70, Seed: 1}, Effect: receiver.Effect{Status: 503}}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // Ends with the churn.
		defer close(done)
		newHistory().churn(t, c, 8*time.Second, false)
	}()
	for i := 0; ; i++ {
		switch i % 4 {
		case 3:
			patch(`{"watchNamespaces":["shop"],"excludeNamespaces":["shop"]}`)
		default:
			patch(fmt.Sprintf(`{"debounceWindowSeconds":%d,"watchNamespaces":null,"excludeNamespaces":null}`, i%4+1))
		}
		fleet.Pause(700 * time.Millisecond)
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	patch(`{"debounceWindowSeconds":1,"watchNamespaces":null,"excludeNamespaces":null}`)
	restless.receiver.ClearFaults()
	restless.waitEqual(t, r, sees{}, converge+10*time.Second)
	steady.waitEqual(t, r, sees{}, converge)
	if o := restless.receiver.Stats().Overlaps; o > 0 {
		t.Errorf("%d times two requests held one ID", o)
	}

	known := func(what string) string {
		return r.Kube("", "get", "configmap", "-o", "name", "-l", "vectordb-sync.io/target="+what) + r.Kube("", "get", "configmap", "-o", "name", "--field-selector=metadata.name=k8s-vectordb-sync-"+what+"-resyncs")
	}
	before := steady.receiver.Len(receiver.Resources)
	r.Kube("", "delete", "resourcesyncconfig", "restless", "-n", "dot-ai")
	fleet.Eventually(t, converge, func() string { return known("dot-ai.restless") })
	for _, p := range replicas {
		fleet.Eventually(t, converge, func() string {
			if _, body := p.Get("http://" + p.Metrics + "/metrics"); strings.Contains(body, "dot-ai.restless") {
				return "there are metrics of a receiver that is gone"
			}
			return ""
		})
	}
	if known("dot-ai.steady") == "" {
		t.Error("there is no checkpoint of the other receiver")
	}
	for _, p := range replicas {
		p.Stop(time.Minute)
	}
	r.Kube("", "delete", "resourcesyncconfig", "steady", "-n", "dot-ai")
	last := r.Start(onlyDeclared())
	last.WaitReady(time.Minute)
	fleet.Eventually(t, converge, func() string { return known("dot-ai.steady") })
	if after := steady.receiver.Len(receiver.Resources); after < before-10 {
		t.Errorf("%d documents are left of %d: the end of an object deletes nothing", after, before)
	}
}
