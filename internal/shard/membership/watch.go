package membership

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// watch shows the machine all Leases of the ring, in the order of their versions, until ctx ends. The protocol
// relies on exactly one watch at any time. A watch that has stalled is begun anew.
func (m *Membership) watch(ctx context.Context) {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { // ends with one; waited for below
			defer close(ended)
			m.guard().Run(one)
		}()
		select {
		case <-ctx.Done():
		case <-m.relist:
			m.log.Info("Watch of Leases has stalled and is begun anew")
		}
		cancel()
		<-ended
	}
}

func (m *Membership) guard() *reflector.Guard {
	selector := RingLabel + "=" + m.opts.RingName
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			list, err := m.client.List(ctx, o)
			if err != nil {
				m.refused("list", err)
				return nil, fmt.Errorf("listing leases: %w", err)
			}
			return list, nil
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			w, err := m.client.Watch(ctx, o)
			if err != nil {
				m.refused("watch", err)
			} else {
				m.mu.Lock()
				m.known.watched = true
				m.mu.Unlock()
			}
			return w, err // The reflector looks at the type of the error.
		},
	}
	return reflector.NewGuard(reflector.Leases, source, store{m}, reflector.Options{
		Client: m.client, Metrics: m.opts.Streams, Log: m.log, Rewound: m.rewound,
		// The default backs off to 30 s, in which we would see no member come or go after an outage.
		Retry: wait.Backoff{Duration: 100 * time.Millisecond, Cap: 2 * time.Second, Steps: 10, Factor: 2, Jitter: 0.5},
	})
}

// store takes the changes of the reflector.
type store struct{ m *Membership }

var (
	_ cache.ReflectorStore         = store{}
	_ cache.ReflectorBookmarkStore = store{}
)

// Add takes a Lease that appeared.
func (s store) Add(o any) error { return s.Update(o) }

// Update takes a Lease that changed.
func (s store) Update(o any) error {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return fmt.Errorf("watch of leases shows a %T", o)
	}
	l := decode(s.m.opts.RingName, lease)
	s.m.do(func(now time.Duration) {
		s.m.leases.remember(l.Member, lease)
		s.m.machine.Observe(l, now)
	})
	return nil
}

// Delete takes a Lease that is gone.
func (s store) Delete(o any) error {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return fmt.Errorf("watch of leases shows a %T", o)
	}
	l := decode(s.m.opts.RingName, lease)
	s.m.do(func(now time.Duration) {
		delete(s.m.leases.objects, l.Member)
		s.m.machine.Deleted(l.Member, l.Version, now)
	})
	return nil
}

// Replace takes a complete list.
func (s store) Replace(list []any, version string) error {
	leases := make([]ownership.Lease, 0, len(list))
	objects := make(map[string]*coordinationv1.Lease, len(list))
	for _, o := range list {
		lease, ok := o.(*coordinationv1.Lease)
		if !ok {
			return fmt.Errorf("list of leases holds a %T", o)
		}
		l := decode(s.m.opts.RingName, lease)
		leases = append(leases, l)
		objects[l.Member] = lease
	}
	s.m.do(func(now time.Duration) {
		s.m.leases.objects = objects
		if s.m.leases.newest() > resource.ParseVersion(version) {
			s.m.leases.own = nil // It is of a time that the cluster has lost, or the watch will show it soon.
		}
		own := objects[s.m.leases.self]
		if own != nil {
			s.m.leases.keep(own)
		}
		if s.m.machine.Synced(leases, resource.ParseVersion(version), now) {
			s.m.log.Info("A list of Leases is older than what was seen: the cluster has gone back in time", "version", version)
			s.m.opts.Streams.Restored(reflector.Leases)
			s.m.restored(own)
		}
	})
	return nil
}

// rewound takes the news of the watch that versions have begun anew. The watch counts that itself. A list
// follows.
func (m *Membership) rewound() {
	m.do(func(time.Duration) {
		m.machine.Restored()
		m.restored(nil)
	})
}

// restored drops our knowledge of the lost time, and reports that the cluster has gone back. own is our Lease as
// it is in the cluster, nil where it is not known. The caller holds mu.
func (m *Membership) restored(own *coordinationv1.Lease) {
	m.leases.own = own
	if m.opts.Restored != nil {
		m.opts.Restored()
	}
}

// Bookmark takes the news that the watch has shown all changes up to the version.
func (s store) Bookmark(version string) error {
	s.m.do(func(now time.Duration) { s.m.machine.Bookmark(resource.ParseVersion(version), now) })
	return nil
}

// Resync does nothing, because the membership does not depend on repeated news.
func (store) Resync() error { return nil }

// leases are the Leases as last seen, from which conditional writes start. It is guarded by Membership.mu.
type leases struct {
	self    string
	objects map[string]*coordinationv1.Lease // by member
	own     *coordinationv1.Lease            // as last seen, written or read, whichever is newest
}

func (l *leases) remember(member string, o *coordinationv1.Lease) {
	l.objects[member] = o
	if member == l.self {
		l.keep(o)
	}
}

// keep remembers our Lease if it is newer than the remembered one.
func (l *leases) keep(o *coordinationv1.Lease) {
	if l.own == nil || resource.ParseVersion(o.ResourceVersion) > l.newest() {
		l.own = o
	}
}

// newest returns the version of our Lease as last seen.
func (l *leases) newest() uint64 {
	if l.own == nil {
		return 0
	}
	return resource.ParseVersion(l.own.ResourceVersion)
}
