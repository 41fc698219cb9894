//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestATokenIsRotatedUnderLoad changes the receiver's token three times under load, and the Secret a little later each
// time.
func TestATokenIsRotatedUnderLoad(t *testing.T) {
	longOnly(t)
	beside(t, 2*time.Minute)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "apply", "--server-side", "-f", definition)
	c := cluster(t, r, 500)
	o := newOutlet(t, dotAIPath, false)
	replicas := []*fleet.Replica{r.Start(onlyDeclared()), r.Start(onlyDeclared())}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.Kube("", "create", "namespace", "dot-ai")
	tokens := []string{fleet.Token}
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Apply(declaration(t, "default-sync", map[string]any{"mcpEndpoint": o.url()}))
	o.waitEqual(t, r, sees{}, converge)

	done := make(chan struct{})
	go func() { // Ends with the churn.
		defer close(done)
		newHistory().churn(t, c, 8*time.Second, false)
	}()
	const rotations = 3
	for i := range rotations {
		fleet.Pause(2 * time.Second)
		token := fmt.Sprintf("token-number-%d", i)
		tokens = append(tokens, token)
		o.rotate(token)
		fleet.Pause(500 * time.Millisecond)
		r.Kube("", "patch", "secret", "mcp-credentials", "-n", "dot-ai", "-p", `{"data":{"api-key":"`+base64.StdEncoding.EncodeToString([]byte(token))+`"}}`)
	}
	<-done
	o.waitEqual(t, r, sees{}, converge)

	refused, newest := 0, make(map[string]int)
	for _, call := range o.seen() {
		if !call.right {
			refused++
		}
		i := slices.Index(tokens, call.token)
		if i < newest[call.sender] {
			t.Errorf("%s sent token %d after it had sent token %d", call.sender, i, newest[call.sender])
		}
		newest[call.sender] = max(newest[call.sender], i)
	}
	t.Logf("%d requests, %d of them refused for their token", len(o.seen()), refused)
	if len(newest) != len(replicas) {
		t.Errorf("%d replicas have sent, want %d", len(newest), len(replicas))
	}
	// Each rotation refuses the requests in flight, eight at most, and a probe or two of each replica.
	if refused > rotations*(8+2*len(replicas)) || refused == 0 {
		t.Errorf("%d requests were refused in %d rotations", refused, rotations)
	}
	for _, token := range tokens {
		for _, p := range replicas {
			if p.Logged(token) {
				t.Errorf("the log of %s has a token", p.Name)
			}
		}
	}
}
