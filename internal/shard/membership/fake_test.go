package membership_test

import (
	"context"
	"io"
	"strconv"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

var leasesResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

// server is an API server that knows only Leases of one namespace, with conditional writes and one order of versions.
type server struct {
	mu       sync.Mutex
	version  uint64
	uids     int
	leases   map[string]*coordinationv1.Lease
	log      []watch.Event
	versions []uint64 // of log
	changed  chan struct{}
	epoch    int // watches of an earlier epoch have ended
}

// restore replaces the Leases by those of an earlier time, read from the server at that time. raised is added to
// the server's version, and not to those of the Leases. Watches end, and a new one is silent until the version
// that it names is passed.
func (s *server) restore(leases map[string]*coordinationv1.Lease, version, raised uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases, s.version, s.log, s.versions = leases, version+raised, nil, nil
	s.epoch++
	close(s.changed)
	s.changed = make(chan struct{})
}

// backup returns the present Leases.
func (s *server) backup() (leases map[string]*coordinationv1.Lease, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	leases = make(map[string]*coordinationv1.Lease, len(s.leases))
	for name, l := range s.leases {
		leases[name] = l.DeepCopy()
	}
	return leases, s.version
}

func newServer() *server {
	return &server{leases: make(map[string]*coordinationv1.Lease), changed: make(chan struct{})}
}

// record is called with mu held.
func (s *server) record(t watch.EventType, o *coordinationv1.Lease) {
	s.log = append(s.log, watch.Event{Type: t, Object: o.DeepCopy()})
	s.versions = append(s.versions, s.version)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) put(o *coordinationv1.Lease, t watch.EventType) *coordinationv1.Lease {
	s.version++
	o = o.DeepCopy()
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.leases[o.Name] = o
	s.record(t, o)
	return o.DeepCopy()
}

// remove deletes a Lease as a person does.
func (s *server) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.leases[name]
	delete(s.leases, name)
	s.version++
	o.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.record(watch.Deleted, o)
}

// get returns a Lease, nil when there is none.
func (s *server) get(name string) *coordinationv1.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[name].DeepCopy()
}

// client is one process's way to the server. It may be cut off, wholly or for its watch only, and be denied verbs.
type client struct {
	coordinationv1client.LeaseInterface // for methods that are not needed here

	*server
	faults sync.Mutex
	cut    bool
	deaf   bool
	busy   bool // Lists are answered, and nothing else.
	denied map[string]bool
	lists  int
}

func (c *client) Leases(string) coordinationv1client.LeaseInterface { return c }

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

func (c *client) try(ctx context.Context, verb string) error {
	c.faults.Lock()
	cut, busy, denied := c.cut, c.busy, c.denied[verb]
	c.faults.Unlock()
	if busy && verb != "list" {
		// The connection ended amid it; for other errors client-go sleeps by a clock of its own.
		return io.ErrUnexpectedEOF
	}
	if cut {
		<-ctx.Done()
		return ctx.Err()
	}
	if denied {
		return apierrors.NewForbidden(leasesResource, "", nil)
	}
	return nil
}

func (c *client) Create(ctx context.Context, o *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	if err := c.try(ctx, "create"); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases[o.Name] != nil {
		return nil, apierrors.NewAlreadyExists(leasesResource, o.Name)
	}
	c.uids++
	o = o.DeepCopy()
	o.UID = types.UID("lease-" + strconv.Itoa(c.uids))
	return c.put(o, watch.Added), nil
}

func (c *client) Update(ctx context.Context, o *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := c.try(ctx, "update"); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.leases[o.Name]
	switch {
	case old == nil && o.UID == "": // as the real one does: a put may create a Lease, whatever version it names
		return c.put(o, watch.Added), nil
	case old == nil || old.UID != o.UID || old.ResourceVersion != o.ResourceVersion:
		return nil, apierrors.NewConflict(leasesResource, o.Name, nil)
	}
	return c.put(o, watch.Modified), nil
}

func (c *client) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	if err := c.try(ctx, "delete"); err != nil {
		return err
	}
	c.mu.Lock()
	old := c.leases[name]
	c.mu.Unlock()
	if old == nil {
		return apierrors.NewNotFound(leasesResource, name)
	}
	if *o.Preconditions.ResourceVersion != old.ResourceVersion || *o.Preconditions.UID != old.UID {
		return apierrors.NewConflict(leasesResource, name, nil)
	}
	c.remove(name)
	return nil
}

func (c *client) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := c.try(ctx, "get"); err != nil {
		return nil, err
	}
	if o := c.get(name); o != nil {
		return o, nil
	}
	return nil, apierrors.NewNotFound(leasesResource, name)
}

func (c *client) List(ctx context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	if err := c.try(ctx, "list"); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists++
	list := &coordinationv1.LeaseList{}
	list.ResourceVersion = strconv.FormatUint(c.version, 10)
	for _, l := range c.leases {
		if selector.Matches(labels.Set(l.Labels)) {
			list.Items = append(list.Items, *l.DeepCopy())
		}
	}
	return list, nil
}

func (c *client) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := c.try(ctx, "watch"); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	from, err := strconv.ParseUint(o.ResourceVersion, 10, 64)
	if err != nil {
		return nil, err
	}
	events := make(chan watch.Event)
	w := watch.NewProxyWatcher(events)
	go func() { // ends when the watch is stopped
		next := 0
		defer close(events)
		c.mu.Lock()
		epoch := c.epoch
		c.mu.Unlock()
		for {
			c.mu.Lock()
			if c.epoch != epoch {
				c.mu.Unlock()
				return
			}
			for next < len(c.log) && c.versions[next] <= from {
				next++
			}
			todo, changed := c.log[next:], c.changed
			c.mu.Unlock()
			c.faults.Lock()
			quiet := c.cut || c.deaf
			c.faults.Unlock()
			if quiet {
				todo = nil
			}
			for _, e := range todo {
				next++
				if !selector.Matches(labels.Set(e.Object.(*coordinationv1.Lease).Labels)) {
					continue
				}
				select {
				case events <- watch.Event{Type: e.Type, Object: e.Object.DeepCopyObject()}:
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
	}()
	return w, nil
}
