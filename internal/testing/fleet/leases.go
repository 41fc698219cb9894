package fleet

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// LeaseVersion is the result of one write to a member's Lease.
type LeaseVersion struct {
	// Member is the name of the member.
	Member string
	// Incarnation names the incarnation that the Lease belongs to.
	Incarnation string
	// State is live, released or dead, and empty when the Lease was deleted.
	State string
	// View are the members with which the Lease's claim is computed; without any it claims nothing.
	View []string
	// Takes are the parts of which the Lease claims all partitions, and Yields those of which it claims none. Each
	// is target/group/version/resource/from/until, where the last two bound the namespaces.
	Takes, Yields []string
	// Renewed is when the member began its last renewal, by the wall clock of this machine.
	Renewed time.Time
	// Seen is when this process learnt of the write, which is some time after it was made.
	Seen time.Time
	// Revision orders all writes of all Leases.
	Revision int64
}

// LeaseHistory is every version of every Lease of a ring.
type LeaseHistory struct {
	ring   string
	writes *Writes

	mu       sync.Mutex // guards the fields below
	versions []LeaseVersion
	err      error
}

// FollowLeases keeps all writes to the Leases of the replicas' ring; see [Rig.FollowWrites].
func (r *Rig) FollowLeases() *LeaseHistory {
	const ring, prefix = "k8s-vectordb-sync", "/registry/leases/default/"
	h := &LeaseHistory{ring: ring}
	h.writes = r.FollowWrites(prefix+ring+"-", h.take)
	return h
}

func (h *LeaseHistory) take(w controlplane.Write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := w.Key[strings.LastIndexByte(w.Key, '/')+1:]
	v := LeaseVersion{Member: strings.TrimPrefix(name, h.ring+"-"), Seen: w.Seen, Revision: w.Revision}
	if w.Value != nil {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(w.Value, nil, nil)
		lease, ok := object.(*coordinationv1.Lease)
		if err != nil || !ok {
			h.err = fmt.Errorf("reading %s, a %T: %w", w.Key, object, err)
			return
		}
		v.read(lease)
	}
	h.versions = append(h.versions, v)
}

// read takes the values of the Lease, by their documented names. It shares no code with the program.
func (v *LeaseVersion) read(l *coordinationv1.Lease) {
	const prefix = "vectordb-sync.io/"
	v.Incarnation, v.State = l.Annotations[prefix+"incarnation"], l.Annotations[prefix+"state"]
	if view := l.Annotations[prefix+"view"]; view != "" {
		v.View = strings.Split(view, ",")
	}
	for key, parts := range map[string]*[]string{"takes": &v.Takes, "yields": &v.Yields} {
		if text := l.Annotations[prefix+key]; text != "" {
			*parts = strings.Split(text, ",")
		}
	}
	if l.Spec.RenewTime != nil {
		v.Renewed = l.Spec.RenewTime.Time
	}
}

// Versions returns all versions so far, in order. It fails the test when the history is not complete.
func (h *LeaseHistory) Versions(t testing.TB) []LeaseVersion {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.err, h.writes.failed()); err != nil {
		t.Fatalf("following the Leases: %v", err)
	}
	return append([]LeaseVersion(nil), h.versions...)
}
