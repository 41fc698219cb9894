package pipeline_test

import (
	"context"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// printer is a receiver that prints what it gets.
type printer struct{}

// Send implements [pipeline.Sender].
func (printer) Send(_ context.Context, r delivery.Request) wire.Outcome {
	for _, u := range r.Upserts {
		fmt.Println("upsert", u.ID)
	}
	for _, id := range r.Deletes {
		fmt.Println("delete", id)
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// An object that changes again before it was sent is sent once, in its last state. An update with a known digest
// is not sent at all.
func ExamplePipeline() {
	breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: 1, MaxBytes: 1 << 20})
	p := pipeline.New(printer{}, wire.ClusterWhisperer(), breaker, pipeline.Options{
		Target: "example", Debounce: time.Hour, MaxWait: time.Hour, FlushInterval: time.Hour, MaxUpserts: 50, MaxDeletes: 50, MaxBytes: 1 << 20,
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()

	known := index.New(nil)
	known.Listen(p)
	pod := resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	state := func(name string, digest, version uint64) resource.Record {
		return resource.Record{Namespace: "default", Name: name, Digest: digest, ResourceVersion: version}
	}
	known.Replace(pod, nil, 100)
	known.Upsert(pod, state("nginx", 1, 101))
	known.Upsert(pod, state("nginx", 2, 102))
	known.Upsert(pod, state("nginx", 2, 103)) // a status update
	known.Upsert(pod, state("gone", 1, 104))
	known.Delete(pod, "default", "gone", 105)

	left := p.Flush(ctx) // waits for no window
	fmt.Println("left:", left.Upserts+left.Deletes)
	stop()
	<-ended
	// Output:
	// delete default/v1/Pod/gone
	// upsert default/v1/Pod/nginx
	// left: 0
}
