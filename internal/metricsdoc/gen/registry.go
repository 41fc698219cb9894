package main

import (
	"fmt"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/buildinfo"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/metricsdoc"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/predecessor"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
)

// registry makes one of each part that has metrics, and starts none of them.
func registry() (*metricsdoc.Registry, error) {
	reg := metricsdoc.NewRegistry()
	discovery.New(nil, nil, discovery.Options{Registerer: reg})
	watch.New(nil, nil, watch.Options{Registerer: reg})
	verify.New(verify.Options{Registerer: reg, Watched: func() []verify.Watched { return []verify.Watched{{}} }})
	index.New(reg)
	pipeline.New(nil, nil, delivery.NewBreaker(delivery.BreakerOptions{}), pipeline.Options{Registerer: reg, Target: "default"})
	reflector.NewMetrics(reg)
	if _, err := delivery.New("http://localhost", wire.ClusterWhisperer(), delivery.Options{Registerer: reg}); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if _, err := membership.New(coordinationv1.New(nil), membership.Options{
		RingName: "ring", Namespace: "default", PodName: "sync-0", PodUID: "uid", Registerer: reg,
	}); err != nil {
		return nil, fmt.Errorf("making a member: %w", err)
	}
	each := prometheus.WrapRegistererWith(prometheus.Labels{"target": "default"}, reg)
	resync.NewSender(nil, nil, nil, resync.Options{Registerer: each})
	if _, err := operations.New(corev1.New(nil), nil, nil, nil, operations.Options{
		Namespace: "default", Ring: "ring", Member: "sync-0", Registerer: each,
	}); err != nil {
		return nil, fmt.Errorf("making resyncs: %w", err)
	}
	target.DescribeMetrics(each)
	meta := inventory.Meta{Cluster: "uid", Ring: "ring"}
	if _, err := inventory.NewWriter("", meta, nil, inventory.WriterOptions{Registerer: reg}); err != nil {
		return nil, fmt.Errorf("making the writer of an inventory: %w", err)
	}
	endpoint := &url.URL{Scheme: "http", Host: "localhost", Path: "/scan"}
	if _, err := capabilities.New(endpoint, nil, nil, capabilities.Options{Registerer: reg}); err != nil {
		return nil, fmt.Errorf("making a scanner: %w", err)
	}
	if _, err := controller.New(&rest.Config{}, nil, controller.Options{Registerer: reg}); err != nil {
		return nil, fmt.Errorf("making the controller: %w", err)
	}
	buildinfo.Register(reg, buildinfo.Info{})
	predecessor.New(nil, nil, predecessor.Options{Registerer: reg})
	api.New(nil, api.Options{Registerer: reg})
	return reg, nil
}
