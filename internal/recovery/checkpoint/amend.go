package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
)

// Amend adds objects in doubt and open tombstones to the checkpoint that is there under our name, and changes
// nothing else in it. So a process that has not read the cluster yet keeps what an earlier process said, and still
// tells the new owners of its own requests. Without a checkpoint, it does nothing. It blocks for two requests, or a
// few more after a write of another member.
func (s *Store) Amend(ctx context.Context, inDoubt []Doubt, open []Tombstone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range 3 {
		if err = s.amend(ctx, inDoubt, open); err == nil || !configmap.Lost(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("amending checkpoint %s: %w", s.Name(), err)
	}
	return nil
}

func (s *Store) amend(ctx context.Context, inDoubt []Doubt, open []Tombstone) error {
	m, err := configmap.Get(ctx, s.client, s.Name())
	if m == nil || err != nil {
		return err // The caller says which checkpoint.
	}
	before, err := unpack(m)
	if err != nil {
		return err
	}
	after := maps.Clone(before)
	own, err := Decode(before[ownKey])
	if err != nil {
		return err
	}
	own.InDoubt = added(inDoubt, own.InDoubt, func(d Doubt) uint64 { return d.ID })
	was, err := decodeOpen(before[openKey], before[livingKey])
	open = added(open, was, Tombstone.Name)
	deletions, err2 := encodeOpen(open, false)
	living, err3 := encodeOpen(open, true)
	text, err4 := own.Encode()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return err
	}
	after[ownKey] = text
	for key, list := range map[string]string{openKey: deletions, livingKey: living} {
		if after[key] = list; list == "" {
			delete(after, key)
		}
	}
	s.current = m
	if maps.Equal(before, after) {
		return nil
	}
	s.data = nil // The next checkpoint differs from what is there.
	return s.write(ctx, after)
}

// added returns the new ones, and those of the others that they do not replace.
func added[T any](news, others []T, name func(T) uint64) []T {
	known := make(map[uint64]bool, len(news))
	for _, n := range news {
		known[name(n)] = true
	}
	return append(slices.Clone(news), slices.DeleteFunc(slices.Clone(others), func(o T) bool { return known[name(o)] })...)
}
