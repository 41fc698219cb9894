package configmaps

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Resource is the resource of ConfigMaps, for errors.
var Resource = schema.GroupResource{Resource: "configmaps"}

// Faults are what is broken between a process and its server.
type Faults struct {
	Deaf  bool          // watches bring nothing
	Err   error         // the answer to every request
	Delay time.Duration // of every request
	Lost  int           // how many answers to writes that are made are to be lost
}

// Client is one process's way to a server, for create, update, get, list and watch.
type Client struct {
	corev1client.ConfigMapInterface // for methods that are not needed here

	s    *Server
	name string

	mu     sync.Mutex // guards faults, and comes before the server's
	faults Faults
}

// Client returns the way of a process.
func (s *Server) Client(name string) *Client { return &Client{s: s, name: name} }

// ConfigMaps implements [corev1client.ConfigMapsGetter].
func (c *Client) ConfigMaps(string) corev1client.ConfigMapInterface { return c }

// IsWatchListSemanticsUnSupported makes the reflector list and watch.
func (c *Client) IsWatchListSemanticsUnSupported() bool { return true }

// Break changes what is broken.
func (c *Client) Break(change func(*Faults)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.faults)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.wake()
}

// present returns what is broken now.
func (c *Client) present() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// try returns the error of a request before it reaches the ConfigMaps.
func (c *Client) try(ctx context.Context) error {
	f := c.present()
	if f.Err != nil {
		return f.Err
	}
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.err
}

// answer loses the answer to a write, if the test asks for it.
func (c *Client) answer(o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.Lost > 0 {
		c.faults.Lost--
		return nil, apierrors.NewTimeoutError("the answer is lost", 0)
	}
	return o, nil
}

// Create creates a ConfigMap, unless there is one.
func (c *Client) Create(ctx context.Context, o *corev1.ConfigMap, _ metav1.CreateOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	made, err := c.create(o.DeepCopy())
	if err != nil {
		return nil, err
	}
	return c.answer(made)
}

func (c *Client) create(o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[o.Name] != nil {
		return nil, apierrors.NewAlreadyExists(Resource, o.Name)
	}
	o.UID = s.uid()
	s.writes[c.name]++
	return s.put(o, watch.Added), nil
}

// Update changes a ConfigMap, if the server still has the version that the new one names.
func (c *Client) Update(ctx context.Context, o *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	changed, err := c.update(o)
	if err != nil {
		return nil, err
	}
	return c.answer(changed)
}

func (c *Client) update(o *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.objects[o.Name]
	switch {
	case old == nil:
		return nil, apierrors.NewNotFound(Resource, o.Name)
	case old.UID != o.UID || old.ResourceVersion != o.ResourceVersion:
		return nil, apierrors.NewConflict(Resource, o.Name, nil)
	}
	s.writes[c.name]++
	return s.put(o, watch.Modified), nil
}

// Get reads a ConfigMap.
func (c *Client) Get(ctx context.Context, name string, _ metav1.GetOptions) (*corev1.ConfigMap, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if o := c.s.objects[name]; o != nil {
		return o.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(Resource, name)
}

// matches returns the function that the selectors of a list or watch mean.
func matches(o metav1.ListOptions) (func(*corev1.ConfigMap) bool, error) {
	byName, err := fields.ParseSelector(o.FieldSelector)
	if err != nil {
		return nil, err
	}
	byLabel, err := labels.Parse(o.LabelSelector)
	return func(m *corev1.ConfigMap) bool {
		return byName.Matches(fields.Set{"metadata.name": m.Name}) && byLabel.Matches(labels.Set(m.Labels))
	}, err
}

// List reads the ConfigMaps that the selectors name.
func (c *Client) List(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	match, err := matches(o)
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.list(match), nil
}

// Watch follows the ConfigMaps that the selectors name, from a version.
func (c *Client) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := c.try(ctx); err != nil {
		return nil, err
	}
	match, err := matches(o)
	if err != nil {
		return nil, err
	}
	events := make(chan watch.Event)
	w := watch.NewProxyWatcher(events)
	go c.stream(w, events, resource.ParseVersion(o.ResourceVersion), match) // Ends when the watch is stopped.
	return w, nil
}

// stream brings a watch the events after a version.
func (c *Client) stream(w *watch.ProxyWatcher, events chan<- watch.Event, from uint64, match func(*corev1.ConfigMap) bool) {
	next := 0
	for {
		todo, changed := c.s.after(&next, from)
		if f := c.present(); f.Deaf {
			todo = nil
		}
		for _, e := range todo {
			next++
			m, ok := e.Object.(*corev1.ConfigMap)
			if !ok || !match(m) {
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
