package controlplane

import (
	"context"
	"fmt"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// compactRevisionKey is the key by which API servers tell each other which history is gone. They never compact
// history without it. So a compaction behind their back would leave the snapshots of their watch caches as they are.
const compactRevisionKey = "compact_rev_key"

// Compact forgets all history before the present revision, and returns that revision. API servers do the same every
// five to ten minutes. A list at an older resourceVersion that reaches etcd then answers 410 Gone at once.
//
// A running API server answers from its memory a while longer: lists at an exact version for up to 15 seconds, and
// watches for as long as its watch cache goes back. Restart it after Compact, and every older resourceVersion is gone.
func (c *ControlPlane) Compact(ctx context.Context) (revision int64, err error) {
	c.turn.spend()
	client, err := c.etcdClient(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	now, err := client.Get(ctx, compactRevisionKey)
	if err != nil {
		return 0, fmt.Errorf("reading the revision of etcd: %w", err)
	}
	revision = now.Header.Revision
	if _, err := client.Put(ctx, compactRevisionKey, strconv.FormatInt(revision, 10)); err != nil {
		return 0, fmt.Errorf("announcing the compaction: %w", err)
	}
	if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return 0, fmt.Errorf("compacting etcd at %d: %w", revision, err)
	}
	return revision, nil
}

// Write is one change of one key in etcd.
type Write struct {
	// Key is the key, such as /registry/leases/default/a-name.
	Key string
	// Value is the value that the API server stored, in its own encoding; nil for a deletion.
	Value []byte
	// Revision counts all writes to etcd. It is the resourceVersion of the write.
	Revision int64
	// Seen is when this process received the write, which is some time after it was made.
	Seen time.Time
}

// Follow reports every write to the keys that begin with prefix, in their order and without a gap, whatever the
// state of the API server. from is the first revision. With 1 it reports all writes since the first start, or, where
// tests share the control plane, since the test began; 0 means from the present on. It calls each for one write at a
// time and blocks until ctx ends, which is no error.
func (c *ControlPlane) Follow(ctx context.Context, prefix string, from int64, each func(Write)) error {
	client, err := c.etcdClient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if from > 0 {
		from = max(from, c.turn.revision.Load()+1)
	}
	for answer := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if err := answer.Err(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching %s in etcd: %w", prefix, err)
		}
		seen := time.Now()
		for _, e := range answer.Events {
			w := Write{Key: string(e.Kv.Key), Revision: e.Kv.ModRevision, Seen: seen}
			if e.Type != clientv3.EventTypeDelete {
				w.Value = e.Kv.Value
			}
			each(w)
		}
	}
	return nil
}

func (c *ControlPlane) etcdClient(ctx context.Context) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Context:     ctx,
		Endpoints:   []string{c.etcdURL},
		DialTimeout: 5 * time.Second,
		Logger:      zap.NewNop(), // errors come back to the caller
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	return client, nil
}
