package replay

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// RevisionLabel is the label that Relabel sets.
const RevisionLabel = "example.com/revision"

const (
	// remembered is how many past changes of a type a watch can start from, like an API server's window.
	remembered = 2000
	// keptSnapshots is how many lists of a type may be in the middle of their pages.
	keptSnapshots = 16
)

// state is the state of a generated object. An object of version 0 does not exist.
type state struct {
	version      uint64
	born         uint32 // how often it has been created again
	labels       uint32 // the revision of its labels, 0 for those of the recording
	statusWrites uint32 // how often its status was written
}

// collection is one type.
type collection struct {
	typ     resource.Type
	samples []metav1.PartialObjectMetadata
	byName  map[string]int // of the samples, by namespace/name

	mu        sync.Mutex // guards the fields below
	states    []state    // of the generated objects; object i is made from sample i modulo their number
	written   map[string]*object
	log       []*event
	forgotten uint64 // how many events were in log before its first
	compacted uint64 // watches cannot start from this version or earlier
	changed   chan struct{}
	snapshots map[uint64]*snapshot
	order     []uint64 // of snapshots, the oldest first
}

// snapshot is all objects of a type at one version.
type snapshot struct {
	version uint64
	states  []state
	written []*object
}

// newCollection makes a type with this many objects from a recording. next returns versions.
func newCollection(r Recorded, n int, next func() uint64) *collection {
	c := &collection{
		typ: r.Type, samples: r.Objects, byName: make(map[string]int, len(r.Objects)),
		written: make(map[string]*object), changed: make(chan struct{}), snapshots: make(map[uint64]*snapshot),
		states: make([]state, n),
	}
	for i := range c.samples {
		c.byName[c.samples[i].Namespace+"/"+c.samples[i].Name] = i
	}
	for i := range c.states {
		if i < len(c.samples) {
			c.states[i].version = resource.ParseVersion(c.samples[i].ResourceVersion)
		} else {
			c.states[i].version = next()
		}
	}
	return c
}

// round is how often the samples were used before object i, and sample is the sample of object i.
func (c *collection) round(i int) (round int, sample *metav1.PartialObjectMetadata) {
	return i / len(c.samples), &c.samples[i%len(c.samples)]
}

// name is the namespace and the name of object i.
func (c *collection) name(i int) (namespace, name string) {
	round, sample := c.round(i)
	if round == 0 {
		return sample.Namespace, sample.Name
	}
	return sample.Namespace, sample.Name + "-r" + strconv.Itoa(round)
}

// find returns the number of a generated object.
func (c *collection) find(namespace, name string) (int, bool) {
	stem, suffix, again := name, "", false
	if i, ok := c.byName[namespace+"/"+name]; ok && i < len(c.states) {
		return i, true
	}
	if at := strings.LastIndex(name, "-r"); at > 0 {
		stem, suffix, again = name[:at], name[at+2:], true
	}
	round, err := strconv.Atoi(suffix)
	i, ok := c.byName[namespace+"/"+stem]
	if !again || err != nil || !ok || round*len(c.samples)+i >= len(c.states) {
		return 0, false
	}
	return round*len(c.samples) + i, true
}

// made returns object i in a state. Maps and slices of the sample are shared.
func (c *collection) made(i int, s state) *metav1.PartialObjectMetadata {
	round, sample := c.round(i)
	o := *sample
	_, o.Name = c.name(i)
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	if round > 0 || s.born > 0 {
		h := xxhash.Sum64String(fmt.Sprintf("%s %s %s %d", c.typ, o.Namespace, o.Name, s.born))
		o.UID = types.UID(fmt.Sprintf("%08x-%04x-4000-8000-%012x", h>>32, h>>16&0xffff, h&0xffffffffffff))
	}
	if s.labels > 0 {
		o.Labels = maps.Clone(o.Labels)
		if o.Labels == nil {
			o.Labels = make(map[string]string, 1)
		}
		o.Labels[RevisionLabel] = strconv.FormatUint(uint64(s.labels), 10)
	}
	if round > 0 || s.statusWrites > 0 {
		o.ManagedFields = append(slices.Clip(slices.Clone(o.ManagedFields)), statusWritten(&o, s))
	}
	return &o
}

// statusFields are the managedFields of a controller that writes conditions; a kubelet has twice as many.
var statusFields = metav1.NewFieldsV1(`{"f:status":{"f:conditions":{` +
	`"k:{\"type\":\"Available\"}":` + conditionFields + `,"k:{\"type\":\"Progressing\"}":` + conditionFields + `},` +
	`"f:availableReplicas":{},"f:observedGeneration":{},"f:readyReplicas":{},"f:replicas":{},"f:updatedReplicas":{}}}`)

const conditionFields = `{".":{},"f:lastTransitionTime":{},"f:lastUpdateTime":{},"f:message":{},"f:reason":{},` +
	`"f:status":{},"f:type":{}}`

func statusWritten(o *metav1.PartialObjectMetadata, s state) metav1.ManagedFieldsEntry {
	at := metav1.NewTime(o.CreationTimestamp.Add(time.Duration(s.statusWrites) * time.Second))
	return metav1.ManagedFieldsEntry{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", Time: &at,
		FieldsType: "FieldsV1", FieldsV1: statusFields, Subresource: "status",
	}
}

// record appends an event to the log and wakes the watches. The caller holds mu.
func (c *collection) record(kind apiwatch.EventType, version uint64, o *object) {
	c.log = append(c.log, &event{kind: kind, version: version, object: o})
	if extra := len(c.log) - remembered; extra >= remembered {
		c.compacted = c.log[extra-1].version
		c.log = slices.Clone(c.log[extra:])
		c.forgotten += uint64(extra)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// change replaces the state of object i by the result of f, and tells whether it did.
func (c *collection) change(i int, next func() uint64, f func(state) (state, apiwatch.EventType, bool)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, kind, ok := f(c.states[i])
	if !ok {
		return false
	}
	s.version = next()
	o := &object{PartialObjectMetadata: c.made(i, s)}
	if kind == apiwatch.Deleted {
		s.version = 0
	}
	c.states[i] = s
	c.record(kind, resource.ParseVersion(o.ResourceVersion), o)
	return true
}

// take returns all objects of the type, and the number of the first event after them. version is the server's.
func (c *collection) take(version func() uint64) (*snapshot, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &snapshot{version: version(), states: slices.Clone(c.states)}
	for _, k := range slices.Sorted(maps.Keys(c.written)) {
		s.written = append(s.written, c.written[k])
	}
	return s, c.forgotten + uint64(len(c.log))
}

// keep remembers a snapshot for its further pages.
func (c *collection) keep(s *snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.snapshots[s.version]; ok {
		return
	}
	c.snapshots[s.version] = s
	if c.order = append(c.order, s.version); len(c.order) > keptSnapshots {
		delete(c.snapshots, c.order[0])
		c.order = c.order[1:]
	}
}

// kept returns a snapshot that was kept, or nil.
func (c *collection) kept(version uint64) *snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshots[version]
}

// after returns the number of the first event after a version; false if the log does not reach back that far.
func (c *collection) after(version uint64) (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version < c.compacted {
		return 0, false
	}
	at, _ := slices.BinarySearchFunc(c.log, version+1, func(e *event, v uint64) int {
		switch {
		case e.version < v:
			return -1
		case e.version > v:
			return 1
		default:
			return 0
		}
	})
	return c.forgotten + uint64(at), true
}

// since returns the events from a number on, and a channel that is closed when there are more; false if the log does
// not reach back that far.
func (c *collection) since(at uint64) ([]*event, <-chan struct{}, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at < c.forgotten {
		return nil, nil, false
	}
	return slices.Clone(c.log[at-c.forgotten:]), c.changed, true
}

// each calls f for every object of a snapshot from number from on, generated ones first, until f returns false.
func (c *collection) each(s *snapshot, from int, f func(i int, o *object) bool) {
	for i := from; i < len(s.states); i++ {
		if s.states[i].version != 0 && !f(i, &object{PartialObjectMetadata: c.made(i, s.states[i])}) {
			return
		}
	}
	for i := max(0, from-len(s.states)); i < len(s.written); i++ {
		if !f(len(s.states)+i, s.written[i]) {
			return
		}
	}
}
