package app

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// environmentTarget is the name of the receiver that the environment names.
const environmentTarget = "default"

// target is one receiver with everything that serves it.
type target struct {
	name     string
	endpoint string // as it may be shown
	format   wire.Format
	client   *delivery.Client
	pipeline *pipeline.Pipeline
}

// newTarget makes the receiver of the environment.
func newTarget(cfg config.Config, s *shard, opts Options, reg prometheus.Registerer) (*target, error) {
	format, err := wire.FormatOf(cfg.EndpointFormat)
	if err != nil {
		return nil, fmt.Errorf("making the receiver's format: %w", err)
	}
	var token delivery.TokenSource
	if cfg.AuthTokenFile != "" {
		token = delivery.TokenFile(cfg.AuthTokenFile)
	}
	log := opts.Log.WithName("delivery")
	client, err := delivery.New(cfg.Endpoint.String(), format, delivery.Options{
		Target: environmentTarget, Version: opts.Version, Member: cfg.PodName, Token: token,
		Timeout: cfg.RequestTimeout, BeforeWrite: s.member.BeforeWrite, Registerer: reg, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", cfg.Endpoint.Redacted(), err)
	}
	gate := delivery.NewGate(delivery.GateOptions{MaxInFlight: cfg.MaxInFlight, MaxBytes: cfg.BatchMaxBytes})
	return &target{
		name: environmentTarget, endpoint: cfg.Endpoint.Redacted(), format: format, client: client,
		pipeline: pipeline.New(fenced{client, s.member}, format, gate, pipeline.Options{
			Target:   environmentTarget,
			Debounce: cfg.DebounceWindow, MaxWait: cfg.DebounceMaxWait, FlushInterval: cfg.BatchFlushInterval,
			MaxUpserts: cfg.BatchMaxSize, MaxDeletes: format.Defaults().MaxDeletes, MaxBytes: cfg.BatchMaxBytes,
			Settle: cfg.SettleTime, MaxBodyBytes: cfg.DirtyMaxBytes,
			Owner: s.member, Covers: s.covers, Observe: client.Observe, Log: log, Registerer: reg,
		}),
	}, nil
}

// run delivers until ctx ends.
func (t *target) run(ctx context.Context) error {
	defer t.client.Close()
	return t.pipeline.Run(ctx)
}
