package pipeline_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// ordinary returns n objects like a Deployment's pods: six labels, one annotation that is kept.
func ordinary(n int) []index.Change {
	keep, err := resource.NewAnnotationFilter([]string{"description"}, nil)
	if err != nil {
		panic(err)
	}
	changes := make([]index.Change, n)
	for i := range changes {
		r := resource.NewRecord(&metav1.ObjectMeta{
			Namespace: fmt.Sprintf("team-%02d", i%50), Name: fmt.Sprintf("checkout-service-7d9c5b8f4-%05x", i),
			UID: types.UID(fmt.Sprintf("7d1b7e4e-3c3f-4c52-9d0e-%012x", i)), ResourceVersion: fmt.Sprint(i + 1),
			CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000, 0)),
			Labels: map[string]string{
				"app.kubernetes.io/name": "checkout-service", "app.kubernetes.io/instance": "prod", "app.kubernetes.io/version": "1.4.2",
				"app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d9c5b8f4", "topology.kubernetes.io/zone": "eu-central-1a",
			},
			Annotations: map[string]string{"description": "Takes the basket of a customer and makes an order of it."},
		}, keep)
		changes[i] = index.Change{Type: pods, ID: pods.ID(r.Namespace, r.Name), Record: r}
	}
	return changes
}

func newBenchmark(sender pipeline.Sender, format wire.Format, opts pipeline.Options) *pipeline.Pipeline {
	breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 2, MaxBytes: 1 << 20})
	opts.MaxBodyBytes = 1 << 40
	return pipeline.New(sender, format, breaker, opts)
}

// BenchmarkApply measures one event that has passed the index: of a new object, and of one that waits already.
func BenchmarkApply(b *testing.B) {
	changes := ordinary(100_000)
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		var p *pipeline.Pipeline
		for i := range b.N {
			if i%len(changes) == 0 {
				b.StopTimer()
				p = newBenchmark(nil, wire.ClusterWhisperer(), pipeline.Options{Debounce: time.Hour, MaxWait: time.Hour})
				b.StartTimer()
			}
			p.Apply(changes[i%len(changes)])
		}
	})
	b.Run("waiting", func(b *testing.B) {
		p := newBenchmark(nil, wire.ClusterWhisperer(), pipeline.Options{Debounce: time.Hour, MaxWait: time.Hour})
		for _, c := range changes {
			p.Apply(c)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			p.Apply(changes[i%len(changes)])
		}
	})
}

// swallow is a receiver that takes everything at once; the body is encoded as for a real one.
type swallow struct {
	format wire.Format
	bytes  int64
}

func (s *swallow) Send(_ context.Context, r delivery.Request) wire.Outcome {
	body, err := s.format.EncodeUpserts(r.Upserts)
	if err != nil {
		return wire.Outcome{Kind: wire.Unprocessable, Reason: err.Error()}
	}
	s.bytes += int64(len(body))
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// BenchmarkThrough takes objects from their event to their acknowledgement, in batches of 50. It measures the
// rate at which the process itself could deliver if the receiver took no time. One operation is one object.
func BenchmarkThrough(b *testing.B) {
	for _, format := range wire.Formats() {
		b.Run(format.Name(), func(b *testing.B) {
			changes := ordinary(10_000)
			s := &swallow{format: format}
			breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1})
			p := pipeline.New(s, format, breaker, pipeline.Options{MaxUpserts: 50, MaxBodyBytes: 1 << 40, FlushInterval: time.Millisecond})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				p.Apply(changes[i%len(changes)])
				if i%len(changes) == len(changes)-1 || i == b.N-1 {
					if left := p.Flush(ctx); left != (pipeline.Left{}) {
						b.Fatalf("left: %+v", left)
					}
				}
			}
			b.StopTimer()
			cancel()
			<-done
			b.ReportMetric(float64(s.bytes)/float64(b.N), "B/object")
		})
	}
}

// BenchmarkStats measures a scrape while that many objects are dirty. It holds the pipeline's lock.
func BenchmarkStats(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newBenchmark(nil, wire.ClusterWhisperer(), pipeline.Options{Debounce: time.Hour, MaxWait: time.Hour})
			for _, c := range ordinary(n) {
				p.Apply(c)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if p.Stats().Dirty != n {
					b.Fatal("not all dirty")
				}
			}
		})
	}
}

// TestAnEventAllocatesLittle bounds the cost of an event that has passed the index.
func TestAnEventAllocatesLittle(t *testing.T) {
	const runs = 1000
	changes := ordinary(2 * runs)
	p := newBenchmark(nil, wire.ClusterWhisperer(), pipeline.Options{Debounce: time.Hour, MaxWait: time.Hour})
	i := 0
	if n := testing.AllocsPerRun(runs, func() {
		p.Apply(changes[i])
		i++
	}); n > 4 {
		t.Errorf("an object that is new allocates %.1f times, want at most 4", n)
	}
	i = 0
	if n := testing.AllocsPerRun(runs, func() {
		p.Apply(changes[i])
		i++
	}); n > 0 {
		t.Errorf("an object that waits allocates %.1f times, want 0", n)
	}
}

// TestAnObjectSentAllocatesLittle bounds the cost of an object from its event to its acknowledgement, its part of
// the body included, in batches of 50.
func TestAnObjectSentAllocatesLittle(t *testing.T) {
	const objects, mostTimes, mostBytes = 10_000, 5, 3 << 10
	for _, format := range wire.Formats() {
		changes := ordinary(objects)
		breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1})
		p := pipeline.New(&swallow{format: format}, format, breaker, pipeline.Options{MaxUpserts: 50, FlushInterval: time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, c := range changes {
			p.Apply(c)
		}
		left := p.Flush(ctx)
		runtime.ReadMemStats(&after)
		cancel()
		if err := <-done; err != nil || left != (pipeline.Left{}) {
			t.Errorf("%s: %v, left %+v", format.Name(), err, left)
		}
		times, bytes := float64(after.Mallocs-before.Mallocs)/objects, (after.TotalAlloc-before.TotalAlloc)/objects
		if times > mostTimes || bytes > mostBytes {
			t.Errorf("%s: an object takes %.1f allocations of %d bytes, want %d of %d at most", format.Name(), times, bytes, mostTimes, mostBytes)
		}
	}
}
