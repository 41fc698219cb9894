package handoff

import (
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Objects are all watched objects of the cluster.
type Objects interface {
	Types() []resource.Type
	All(t resource.Type, each func(namespace, name string, version uint64) bool)
}

// ownedCount caches the number of objects that we own, because a count hashes every ID, which takes a tenth of a
// second for a million.
type ownedCount struct {
	mu sync.Mutex // guards what follows
	n  int
	at time.Time
}

const countFor = 10 * time.Second

// owned counts the objects that we own. It is for [membership.Options.Objects].
func (s *Shard) owned() int {
	s.count.mu.Lock()
	defer s.count.mu.Unlock()
	if time.Since(s.count.at) < countFor {
		return s.count.n
	}
	s.count.n = 0
	owned := s.Member.Owned().Rest()
	for _, t := range s.objects.Types() {
		s.objects.All(t, func(namespace, name string, _ uint64) bool {
			if owned.Has(s.Member.PartitionOf(t.IDHash(namespace, name))) {
				s.count.n++
			}
			return true
		})
	}
	s.count.at = time.Now()
	return s.count.n
}
