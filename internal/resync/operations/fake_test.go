package operations_test

import (
	"context"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

var configMaps = schema.GroupResource{Resource: "configmaps"}

// server is an API server that knows only ConfigMaps of one namespace, with conditional writes and one order
// of versions.
type server struct {
	mu       sync.Mutex
	version  uint64
	uids     int
	objects  map[string]*corev1.ConfigMap
	log      []watch.Event
	versions []uint64 // of log
	changed  chan struct{}
	writes   map[string]int // by client
}

func newServer() *server {
	return &server{objects: make(map[string]*corev1.ConfigMap), changed: make(chan struct{}), writes: make(map[string]int)}
}

// record is called with mu held.
func (s *server) record(t watch.EventType, o *corev1.ConfigMap) {
	s.log = append(s.log, watch.Event{Type: t, Object: o.DeepCopy()})
	s.versions = append(s.versions, s.version)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) put(o *corev1.ConfigMap, t watch.EventType) *corev1.ConfigMap {
	s.version++
	o = o.DeepCopy()
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.objects[o.Name] = o
	s.record(t, o)
	return o.DeepCopy()
}

// edit changes the data as a person does, making the ConfigMap if need be.
func (s *server) edit(change func(data map[string]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, t := s.objects["r-resyncs"], watch.Modified
	if o == nil {
		s.uids++
		o, t = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "r-resyncs", UID: types.UID(strconv.Itoa(s.uids))}, Data: map[string]string{}}, watch.Added
	}
	o = o.DeepCopy()
	change(o.Data)
	s.put(o, t)
}

// remove deletes the ConfigMap as a person does.
func (s *server) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects["r-resyncs"]
	delete(s.objects, "r-resyncs")
	s.version++
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.record(watch.Deleted, o)
}

// data returns the present data.
func (s *server) data() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects["r-resyncs"]; o != nil {
		return o.DeepCopy().Data
	}
	return nil
}

func (s *server) written() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writes {
		n += w
	}
	return n
}

// client is one process's way to the server. It may be cut off, be slow, and be denied every verb.
type client struct {
	corev1client.ConfigMapInterface // for methods that are not needed here

	*server
	name   string
	faults sync.Mutex
	cut    bool
	deaf   bool // its watch brings nothing
	denied bool
	delay  time.Duration
	lost   int // answers to writes that are to be lost
}

func (c *client) ConfigMaps(string) corev1client.ConfigMapInterface { return c }

// IsWatchListSemanticsUnSupported makes the reflector list and watch.
func (c *client) IsWatchListSemanticsUnSupported() bool { return true }

func (c *client) set(change func()) {
	c.faults.Lock()
	change()
	c.faults.Unlock()
	c.mu.Lock()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
}

func (c *client) try(ctx context.Context) error {
	c.faults.Lock()
	cut, denied, delay := c.cut, c.denied, c.delay
	c.faults.Unlock()
	if cut {
		<-ctx.Done()
		return ctx.Err()
	}
	if denied {
		return apierrors.NewForbidden(configMaps, "", nil)
	}
	time.Sleep(delay)
	return ctx.Err()
}

// answer loses the answer to a write that was made, if the test asks for it.
func (c *client) answer(o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	c.faults.Lock()
	defer c.faults.Unlock()
	if c.lost > 0 {
		c.lost--
		return nil, apierrors.NewTimeoutError("the answer is lost", 0)
	}
	return o, nil
}

func (c *client) Create(ctx context.Context, o *corev1.ConfigMap, _ metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[o.Name] != nil {
		return nil, apierrors.NewAlreadyExists(configMaps, o.Name)
	}
	c.uids++
	o = o.DeepCopy()
	o.UID = types.UID(strconv.Itoa(c.uids))
	c.writes[c.name]++
	return c.answer(c.put(o, watch.Added))
}

func (c *client) Update(ctx context.Context, o *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.objects[o.Name]
	switch {
	case old == nil:
		return nil, apierrors.NewNotFound(configMaps, o.Name)
	case old.UID != o.UID || old.ResourceVersion != o.ResourceVersion:
		return nil, apierrors.NewConflict(configMaps, o.Name, nil)
	}
	c.writes[c.name]++
	return c.answer(c.put(o, watch.Modified))
}

func (c *client) Get(ctx context.Context, name string, _ metav1.GetOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[name]; o != nil {
		return o.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(configMaps, name)
}

func matches(o metav1.ListOptions) (func(name string) bool, error) {
	selector, err := fields.ParseSelector(o.FieldSelector)
	return func(name string) bool { return selector.Matches(fields.Set{"metadata.name": name}) }, err
}

func (c *client) List(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	match, err := matches(o)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := &corev1.ConfigMapList{}
	list.ResourceVersion = strconv.FormatUint(c.version, 10)
	for _, m := range c.objects {
		if match(m.Name) {
			list.Items = append(list.Items, *m.DeepCopy())
		}
	}
	return list, nil
}

func (c *client) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	match, err := matches(o)
	if err != nil {
		return nil, err
	}
	from, err := strconv.ParseUint(o.ResourceVersion, 10, 64)
	if err != nil {
		return nil, err
	}
	events := make(chan watch.Event)
	w := watch.NewProxyWatcher(events)
	go c.stream(w, events, from, match) // Ends when the watch is stopped.
	return w, nil
}

func (c *client) stream(w *watch.ProxyWatcher, events chan<- watch.Event, from uint64, match func(string) bool) {
	next := 0
	for {
		c.mu.Lock()
		for next < len(c.log) && c.versions[next] <= from {
			next++
		}
		todo, changed := c.log[next:], c.changed
		c.mu.Unlock()
		c.faults.Lock()
		if c.cut || c.deaf {
			todo = nil
		}
		c.faults.Unlock()
		for _, e := range todo {
			next++
			m, ok := e.Object.(*corev1.ConfigMap)
			if !ok || !match(m.Name) {
				continue
			}
			select {
			case events <- watch.Event{Type: e.Type, Object: m.DeepCopy()}:
			case <-w.StopChan():
				return
			}
		}
		select {
		case <-changed:
		case <-w.StopChan():
			return
		}
	}
}
