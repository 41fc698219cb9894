package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

// pager reads a type from the API server; [watch.Lister] is one.
type pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
}

// missed finds the objects that were deleted while nobody watched. A checkpoint says up to which version the receiver
// was in step; what the API server held then and does not hold now was deleted since. etcd keeps about five minutes of
// history; what went before that cannot be found this way, and is said to be unknown.
type missed struct {
	lister pager
	index  *index.Index
	log    logr.Logger
}

// find looks at the versions of each type, by its name, and tells the index of every object that is gone. It returns
// the types whose history is gone.
func (m *missed) find(ctx context.Context, versions map[string][]uint64) (found int, unknown []string) {
	for _, t := range m.index.Types() {
		for _, version := range versions[t.String()] {
			n, err := m.findAt(ctx, t, version)
			found += n
			switch {
			case err == nil:
			case ctx.Err() != nil:
				return found, unknown
			case errors.Is(err, watch.ErrExpired):
				if !slices.Contains(unknown, t.String()) {
					unknown = append(unknown, t.String())
				}
			default:
				m.log.Error(err, "Objects deleted while nobody watched could not be looked for", "resource", t.String())
			}
		}
	}
	return found, unknown
}

func (m *missed) findAt(ctx context.Context, t resource.Type, version uint64) (found int, err error) {
	now := m.index.Type(t)
	if !now.Listed || version == 0 || version >= now.Version {
		return 0, nil
	}
	_, err = m.lister.Pages(ctx, t, watch.ListOptions{Exact: version}, func(rs []resource.Record) error {
		for _, r := range rs {
			if _, _, ok := m.index.Get(t, r.Namespace, r.Name); !ok {
				// Created again since the line above, the object has a later version, and the index leaves this out.
				m.index.Delete(t, r.Namespace, r.Name, now.Version)
				found++
			}
		}
		return nil
	})
	if err != nil {
		return found, fmt.Errorf("listing %s at version %d: %w", t, version, err)
	}
	return found, nil
}

// findMissed waits until the types have been read, then looks for what was deleted while this replica was away. No
// checkpoint of ours may be written before that: it would claim deletions that nobody has sent, and the others would
// believe it.
func (a *App) findMissed(ctx context.Context) error {
	if a.target == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-a.shard.store.Synced():
	}
	versions := a.shard.store.Before()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !a.ready() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	m := &missed{lister: a.lister, index: a.index, log: a.log}
	found, unknown := m.find(ctx, versions)
	a.searched.Store(ctx.Err() == nil)
	a.shard.publish(ctx) // at once, so that the ConfigMap itself is delivered like any other object, whenever we end
	if found > 0 {
		a.log.Info("Objects were deleted while this replica was away; their documents are deleted now", "objects", found)
	}
	if len(unknown) > 0 {
		a.log.Info("Objects may have been deleted while this replica was away that cannot be found any more: the API server "+
			"keeps about five minutes of history", "resources", unknown)
	}
	<-ctx.Done()
	return nil
}
