//go:build integration

package watch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// received counts the bytes of answers, as they come out of TLS.
type received struct {
	next  http.RoundTripper
	bytes atomic.Int64
}

type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (r *received) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		resp.Body = counted{resp.Body, &r.bytes}
	}
	return resp, err
}

// idle is a Sink that keeps nothing. It tells when a list has come and how much memory was live at that time.
type idle struct {
	listed chan int
	peak   atomic.Uint64
}

func (s *idle) Replace(_ resource.Type, rs []resource.Record, _ uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	s.peak.Store(m.HeapAlloc)
	s.listed <- len(rs)
}
func (s *idle) Upsert(resource.Type, resource.Record)        {}
func (s *idle) Delete(resource.Type, string, string, uint64) {}
func (s *idle) Leave(resource.Type, string, string, uint64)  {}
func (s *idle) Bookmark(resource.Type, uint64)               {}

// BenchmarkStart lists 20,000 ConfigMaps with four labels, a description, a last-applied-configuration and
// managedFields from a real API server. Live bytes are the memory of the Reflector and the records at the moment
// of Replace, the peak of a start.
func BenchmarkStart(b *testing.B) {
	const objects = 20_000
	cp := controlplane.ForTest(b, controlplane.Options{})
	config := cp.RESTConfig()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(16)
	for i := range objects {
		group.Go(func() error {
			_, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("settings-of-a-service-%05d", i),
				Labels: map[string]string{
					"app.kubernetes.io/name": "service", "app.kubernetes.io/instance": fmt.Sprintf("service-%d", i%100),
					"app.kubernetes.io/component": "backend", "team": "platform",
				},
				Annotations: map[string]string{
					"description": fmt.Sprintf("Settings of service number %d, read at its start.", i),
					"kubectl.kubernetes.io/last-applied-configuration": fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","data":{"n":"%0400d"}}`, i),
				},
			}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	keep, err := resource.NewAnnotationFilter(resource.DefaultAnnotations(), nil)
	if err != nil {
		b.Fatal(err)
	}
	var (
		before, after runtime.MemStats
		bytes         int64
		live          uint64
	)
	b.ReportAllocs()
	for b.Loop() {
		wire := &received{}
		config := cp.RESTConfig()
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { wire.next = next; return wire })
		sink := &idle{listed: make(chan int, 1)}
		m := watch.New(metadataClient(b, config), sink, watch.Options{Keep: resource.Selection{Annotations: keep}})
		m.Set([]resource.Type{configMaps})
		runtime.GC()
		runtime.ReadMemStats(&before)
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		if n := <-sink.listed; n < objects {
			b.Fatalf("listed %d objects, want %d", n, objects)
		}
		runtime.ReadMemStats(&after)
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		bytes, live = wire.bytes.Load(), sink.peak.Load()-before.HeapAlloc
	}
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/objects, "B/object")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/objects, "allocs/object")
	b.ReportMetric(float64(live)/objects, "live-B/object")
	b.ReportMetric(float64(bytes)/objects, "wire-B/object")
}
