package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

// sending is parts that a member sends again, and the world when it began.
type sending struct {
	m       *member
	request operations.Request
	parts   []operations.Part
	began   time.Time
	version uint64
	changes int // of the ring
	stay    int
}

// sendAgain has a member send parts again. When it says that they are sent, each of their objects has been.
func (w *World) sendAgain(m *member, what string, request operations.Request, parts []operations.Part) {
	w.say("%s is to send %s again", m.name, what)
	w.mu.Lock()
	r := sending{m: m, request: request, parts: parts, began: time.Now(), version: w.version, changes: w.changes, stay: m.stay}
	w.mu.Unlock()
	w.late.Go(func() { // Ends when its member leaves, crashes, or has sent everything.
		err := m.peer.Resync(m.resyncing, request, parts)
		w.say("%s has sent %s again: %v", m.name, what, err)
		if err != nil {
			return
		}
		if unsent := w.unsent(r); unsent != "" {
			w.t.Errorf("%s says that it has sent %s again, and since it began at %.2f the receiver has not got %s\n%s",
				m.name, what, r.began.Sub(w.began).Seconds(), unsent, w.tell(unsent))
		}
	})
}

// unsent returns the objects of a resync that the receiver has not got since it began. It leaves out objects that have
// changed since: their last state may be on its way. What is limited to a member's own objects is judged only if the
// ring has stayed the same.
func (w *World) unsent(r sending) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	owner := w.agreed.owner(w.format)
	same := w.changes == r.changes && r.m.stay == r.stay
	var unsent []string
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		typ := typeOf(name)
		id := typ.ID(namespaceOf(name), name)
		in := slices.ContainsFunc(r.parts, func(p operations.Part) bool {
			return p.Type == typ && r.has(p, id) && (!p.OwnedOnly || same && owner(typ, id) == r.m.name)
		})
		if in && w.objects[name].version <= r.version && w.sentAt[id].Before(r.began) {
			unsent = append(unsent, string(id))
		}
	}
	if len(unsent) == 0 {
		return ""
	}
	return fmt.Sprintf("%s of version %d", strings.Join(unsent, " , "), r.version)
}

// has tells whether an object is within a part, by its namespace.
func (r sending) has(p operations.Part, id resource.ID) bool {
	namespace := handoff.NamespaceOf(id)
	return (r.request.Namespace == "" || r.request.Namespace == namespace) && p.Covers(namespace)
}
