package configmaps

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Server holds the ConfigMaps, and all changes since it was made. Create it with [NewServer].
type Server struct {
	mu       sync.Mutex // guards what follows
	version  uint64
	uids     int
	objects  map[string]*corev1.ConfigMap
	log      []watch.Event
	versions []uint64 // of log
	changed  chan struct{}
	writes   map[string]int // by client
	err      error          // the answer to every request; nil: the server is well
}

// NewServer returns a server without ConfigMaps.
func NewServer() *Server {
	return &Server{objects: make(map[string]*corev1.ConfigMap), changed: make(chan struct{}), writes: make(map[string]int)}
}

// Answer has every request fail with an error; nil ends that.
func (s *Server) Answer(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Edit changes the data of a ConfigMap as a person does. It creates the ConfigMap if need be.
func (s *Server) Edit(name string, change func(data map[string]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, t := s.objects[name].DeepCopy(), watch.Modified
	if o == nil {
		o, t = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, UID: s.uid()}, Data: map[string]string{}}, watch.Added
	}
	change(o.Data)
	s.put(o, t)
}

// Remove deletes a ConfigMap as a person does.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[name].DeepCopy()
	delete(s.objects, name)
	s.version++
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.record(watch.Deleted, o)
}

// Data returns the present data of a ConfigMap; nil if there is none.
func (s *Server) Data(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[name]; o != nil {
		return o.DeepCopy().Data
	}
	return nil
}

// Written counts the writes of all clients.
func (s *Server) Written() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writes {
		n += w
	}
	return n
}

// Backup returns a function that takes the server back to the present state, as a restore of etcd does.
func (s *Server) Backup() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects, version := maps.Clone(s.objects), s.version // An object on the server is never changed in place.
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.objects, s.version = maps.Clone(objects), version
	}
}

// uid returns a new UID. The caller holds mu.
func (s *Server) uid() types.UID {
	s.uids++
	return types.UID(strconv.Itoa(s.uids))
}

// put makes an object the present one of its name, under the next version. The caller holds mu.
func (s *Server) put(o *corev1.ConfigMap, t watch.EventType) *corev1.ConfigMap {
	s.version++
	o = o.DeepCopy()
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.objects[o.Name] = o
	s.record(t, o)
	return o.DeepCopy()
}

// record adds an event to the log. The caller holds mu.
func (s *Server) record(t watch.EventType, o *corev1.ConfigMap) {
	s.log = append(s.log, watch.Event{Type: t, Object: o.DeepCopy()})
	s.versions = append(s.versions, s.version)
	s.wake()
}

// wake has all watches look again. The caller holds mu.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// list returns the present ConfigMaps that match, by name. The caller holds mu.
func (s *Server) list(match func(*corev1.ConfigMap) bool) *corev1.ConfigMapList {
	all := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(s.version, 10)}}
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if m := s.objects[name]; match(m) {
			all.Items = append(all.Items, *m.DeepCopy())
		}
	}
	return all
}

// after returns the events that a watch from a version has yet to bring: those from next on, which it first moves past
// that version. changed is closed with the next change.
func (s *Server) after(next *int, version uint64) (events []watch.Event, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for *next < len(s.log) && s.versions[*next] <= version {
		*next++
	}
	return s.log[*next:], s.changed
}
