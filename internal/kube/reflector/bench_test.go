package reflector_test

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// many is a watch that brings a number of changes, one after another, and then nothing until its context is
// done.
type many struct {
	ctx  context.Context
	left int
}

func (m *many) Stop()                             {}
func (m *many) ResultChan() <-chan apiwatch.Event { panic("it is asked for the next event") }

func (m *many) Next() (apiwatch.Event, bool) {
	if m.left == 0 {
		<-m.ctx.Done()
		return apiwatch.Event{}, false
	}
	m.left--
	return apiwatch.Event{Type: apiwatch.Modified, Object: &changed}, true
}

var changed = object("changed", "2")

// busy is a server with one object, which changes a number of times.
type busy int

func (b busy) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
}

func (b busy) Watch(ctx context.Context, opts metav1.ListOptions) (*reflector.Stream, error) {
	if opts.SendInitialEvents != nil {
		return nil, errDown
	}
	return reflector.NewStream(ctx, &many{ctx, int(b)}, reflector.StreamOptions{}, func() {}), nil
}

func (b busy) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	s, err := b.Watch(ctx, opts)
	if err != nil {
		return nil, err
	}
	return reflector.Pipe(s), nil
}

// counted is a store that calls full after a number of changes.
type counted struct {
	told
	left int
	full func()
}

func (c *counted) Update(any) error {
	if c.left--; c.left == 0 {
		c.full()
	}
	return nil
}

func (c *counted) Replace([]any, string) error { return nil }

// BenchmarkEvent measures the cost of passing an event to the store: through a second goroutine, as a Reflector
// does, and as a Follower does.
func BenchmarkEvent(b *testing.B) {
	for name, run := range map[string]func(context.Context, busy, cache.ReflectorStore){
		"reflector": func(ctx context.Context, server busy, store cache.ReflectorStore) {
			log := logr.Discard()
			lw := &cache.ListWatch{ListWithContextFunc: server.List, WatchFuncWithContext: server.watch}
			cache.NewReflectorWithOptions(lw, nil, store, cache.ReflectorOptions{Logger: &log, Name: "things"}).RunWithContext(klog.NewContext(ctx, log))
		},
		"follower": func(ctx context.Context, server busy, store cache.ReflectorStore) {
			reflector.NewFollower("things", server, store, reflector.FollowerOptions{Client: server}).Run(ctx)
		},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			run(ctx, busy(b.N), &counted{left: b.N, full: cancel})
		})
	}
}
