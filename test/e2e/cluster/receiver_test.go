//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// receiverManifest is the reference receiver under the name in the README's URL.
const receiverManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: cluster-whisperer, namespace: ` + namespace + `}
spec:
  selector: {matchLabels: {app: cluster-whisperer}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: cluster-whisperer}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 5
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: receiver
          image: ` + receiverImage + `
          args: [--listen=:3000, --admin, --max-records=0, --index-on-search, --dot-ai-token=not-a-secret]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          readinessProbe: {httpGet: {path: /readyz, port: 3000}, periodSeconds: 1}
          resources: {requests: {cpu: 50m, memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: cluster-whisperer, namespace: ` + namespace + `}
spec:
  type: NodePort
  selector: {app: cluster-whisperer}
  ports: [{port: 3000}]
`

// receiverPod is the receiver as a pod, which the test reads at a port of its node.
type receiverPod struct {
	t    *testing.T
	base string
}

func deployReceiver(t *testing.T) *receiverPod {
	t.Helper()
	apply(t, receiverManifest)
	r := &receiverPod{t: t}
	r.find()
	return r
}

// find waits until the receiver is available and learns its address, which changes when it moves.
func (r *receiverPod) find() {
	r.t.Helper()
	kubectl(r.t, "rollout status deployment/cluster-whisperer --timeout=90s")
	port := kubectl(r.t, "get service cluster-whisperer -o jsonpath={.spec.ports[0].nodePort}")
	fleet.Eventually(r.t, arrive, func() string {
		host, err := try(r.t, "kubectl -n "+namespace+" get pod -l app=cluster-whisperer --field-selector=status.phase=Running -o jsonpath={.items[*].status.hostIP}")
		if err != nil || len(strings.Fields(host)) != 1 {
			return "the receiver is at " + host
		}
		r.base = "http://" + host + ":" + port
		resp, err := http.Get(r.base + "/healthz")
		if err != nil {
			return err.Error()
		}
		_ = resp.Body.Close()
		return ""
	})
}

// node returns the node of the receiver.
func (r *receiverPod) node() string {
	r.t.Helper()
	return kubectl(r.t, "get pod -l app=cluster-whisperer -o jsonpath={.items[0].spec.nodeName}")
}

// read reads an answer of the receiver, one JSON value a line.
func read[T any](r *receiverPod, path string) []T {
	r.t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get(r.base + path)
	if err != nil {
		r.t.Fatalf("reading the receiver: %v", err)
	}
	defer resp.Body.Close()
	var all []T
	for d := json.NewDecoder(resp.Body); ; {
		var v T
		switch err := d.Decode(&v); err {
		case nil:
			all = append(all, v)
		case io.EOF:
			return all
		default:
			r.t.Fatalf("reading %s of the receiver: %v", path, err)
		}
	}
}

func (r *receiverPod) stats() receiver.Stats {
	r.t.Helper()
	return read[receiver.Stats](r, "/admin/stats")[0]
}

// mark returns the number of the last request so far, for since.
func (r *receiverPod) mark() uint64 {
	r.t.Helper()
	records := r.since(0)
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Seq
}

// since returns the syncs after a mark.
func (r *receiverPod) since(mark uint64) []receiver.Record {
	r.t.Helper()
	return slices.DeleteFunc(read[receiver.Record](r, fmt.Sprintf("/admin/requests?since=%d", mark)), func(rec receiver.Record) bool {
		return rec.Kind != receiver.KindInstances
	})
}

// documents returns the documents of the receiver, by ID.
func (r *receiverPod) documents() map[resource.ID]workload.Doc {
	r.t.Helper()
	docs := make(map[resource.ID]workload.Doc)
	for _, d := range read[receiver.Document](r, "/admin/documents") {
		docs[resource.ID(d.ID)] = workload.Doc{Labels: d.Labels, Annotations: d.Annotations, CreatedAt: d.CreatedAt}
	}
	return docs
}

// diff compares the receiver with the cluster, and returns how many objects there are.
func (r *receiverPod) diff() (workload.Diff, int) {
	r.t.Helper()
	want, err := workload.List(r.t.Context(), config, workload.Filter{})
	if err != nil {
		r.t.Fatalf("listing the cluster: %v", err)
	}
	return workload.Compare(want, r.documents()), len(want)
}

// waitEqual waits until the receiver equals the cluster by ID and content, and returns how many objects there are. A
// living cluster writes objects of its own now and then, so each look lists them anew.
func (r *receiverPod) waitEqual(within time.Duration) int {
	r.t.Helper()
	began := time.Now()
	var n int
	fleet.Eventually(r.t, within, func() string {
		var diff workload.Diff
		if diff, n = r.diff(); !diff.Empty() {
			return fmt.Sprintf("the receiver does not equal the cluster of %d objects:\n%s", n, diff)
		}
		return ""
	})
	r.t.Logf("%d objects are equal by ID and content after %v", n, time.Since(began).Round(100*time.Millisecond))
	return n
}

// senders counts the upserts since a mark by the pod that sent them.
func (r *receiverPod) senders(mark uint64) map[string]int {
	r.t.Helper()
	counts := make(map[string]int)
	for _, rec := range r.since(mark) {
		counts[rec.Sender] += len(rec.Upserts)
	}
	return counts
}

// in returns a view of the receiver for a subtest: a failure there fails the subtest.
func (r *receiverPod) in(t *testing.T) *receiverPod { return &receiverPod{t: t, base: r.base} }
