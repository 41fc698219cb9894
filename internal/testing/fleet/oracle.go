package fleet

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// store is the receiver's store for the rig's format.
func (r *Rig) store() string {
	if r.format == DotAI {
		return receiver.Resources
	}
	return receiver.Instances
}

// Documents returns the documents of the receiver, by ID. It fails the test when a document's fields contradict the
// ID under which it was sent.
func (r *Rig) Documents() map[resource.ID]workload.Doc {
	r.t.Helper()
	docs := make(map[resource.ID]workload.Doc)
	for _, d := range r.Receiver().Documents(r.store()) {
		id := resource.ID(strings.Join([]string{d.Namespace, d.APIVersion, d.Kind, d.Name}, "/"))
		group, _, grouped := strings.Cut(d.APIVersion, "/")
		if !grouped {
			group = ""
		}
		if r.format == ClusterWhisperer && (string(id) != d.ID || d.APIGroup != group) {
			r.t.Errorf("the document of %s is that of %s in group %q", d.ID, id, d.APIGroup)
		}
		docs[id] = workload.Doc{Labels: d.Labels, Annotations: d.Annotations, CreatedAt: d.CreatedAt}
	}
	return docs
}

// Objects lists the documents that the receiver should hold.
func (r *Rig) Objects() map[resource.ID]workload.Doc {
	r.t.Helper()
	want, err := workload.List(r.t.Context(), r.RESTConfig(), r.opts.Filter)
	if err != nil {
		r.t.Fatalf("listing the cluster: %v", err)
	}
	return want
}

// Diff compares the receiver with the cluster, and ignores some objects.
func (r *Rig) Diff(except ...resource.ID) workload.Diff {
	r.t.Helper()
	return compare(r.Objects(), r.Documents(), except)
}

func compare(want, got map[resource.ID]workload.Doc, except []resource.ID) workload.Diff {
	aside := func(id resource.ID, _ workload.Doc) bool { return slices.Contains(except, id) }
	if len(except) > 0 {
		want = maps.Clone(want)
		maps.DeleteFunc(want, aside)
		maps.DeleteFunc(got, aside)
	}
	return workload.Compare(want, got)
}

// WaitEqual waits until the receiver equals the cluster, and ignores some objects. It fails the test when that takes
// longer than within. Only the API server itself may change the cluster meanwhile. It returns how long it took, and
// how many objects there are.
func (r *Rig) WaitEqual(within time.Duration, except ...resource.ID) (took time.Duration, objects int) {
	r.t.Helper()
	began := time.Now()
	want := r.Objects()
	listed := time.Now()
	for {
		diff := compare(want, r.Documents(), except)
		took = time.Since(began)
		if diff.Empty() {
			return took, len(want)
		}
		if took > within {
			r.t.Fatalf("the receiver does not equal the cluster of %d objects after %v:\n%s", len(want), took.Round(time.Second), diff)
		}
		Pause(200 * time.Millisecond)
		// The API server has some objects of its own, and writes them at any time.
		if time.Since(listed) > 5*time.Second {
			want, listed = r.Objects(), time.Now()
		}
	}
}

// Requests returns the records of all receivers of the rig, in order.
func (r *Rig) Requests() []receiver.Record {
	var all []receiver.Record
	for _, s := range r.Receivers() {
		all = append(all, s.Requests(0)...)
	}
	return all
}

// Mark names a moment in the records, for [Rig.Since].
type Mark int

// Mark returns the present moment.
func (r *Rig) Mark() Mark { return Mark(len(r.Requests())) }

// Since returns the records of requests that began after a moment.
func (r *Rig) Since(m Mark) []receiver.Record { return r.Requests()[m:] }

// Unexplained returns upserts that changed nothing at the receiver and had no good reason. One good reason is an
// earlier request with that ID, or the request itself, that was not answered with 200: then the sender could not
// know its outcome. The other is an object that was created anew: if that happens within a second, the new object
// has the same content.
func Unexplained(records []receiver.Record, anew func(resource.ID) bool) []string {
	doubt := make(map[string]bool)
	var found []string
	for _, rec := range records {
		answered := rec.Status == 200 && !rec.ClientGone
		for _, u := range rec.Upserts {
			if u.Unchanged && answered && !doubt[u.ID] && !anew(resource.ID(u.ID)) {
				found = append(found, u.ID)
			}
			doubt[u.ID] = doubt[u.ID] || !answered
		}
		for _, id := range rec.Deletes {
			doubt[id] = doubt[id] || !answered
		}
	}
	return found
}

// Unseen returns how many requests of a replica have an unknown outcome that no record tells. A receiver that stops
// resets connections on which it has not read the request, and answers 503 to what still comes in. At most
// BATCH_MAX_SIZE objects of each such request may be sent once more. The replica must be the only sender of the rig.
func (r *Rig) Unseen(p *Replica) int {
	r.t.Helper()
	return unseen(p.Metric("k8s_vectordb_sync_delivery_attempts_total", "outcome", "unknown"), r.Requests())
}

func unseen(unknown float64, records []receiver.Record) int {
	n := int(unknown)
	for _, rec := range records {
		if rec.ClientGone || rec.Status == 0 || rec.Status >= http.StatusBadGateway && rec.Status <= http.StatusGatewayTimeout {
			n--
		}
	}
	return max(n, 0)
}
