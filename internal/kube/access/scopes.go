package access

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Reader tells what may be read; [Reviews] is one.
type Reader interface {
	MayRead(ctx context.Context, t resource.Type) (bool, error)
	MayReadAll(ctx context.Context) (bool, error)
}

// Scopes decides which types are read as a whole, and which by namespace. Make one with [NewScopes]. A nil
// Scopes, for where no namespaces are named, reads every type as a whole.
type Scopes struct {
	reader     Reader
	namespaces []string
	log        logr.Logger

	mu      sync.Mutex // guards the fields below
	all     bool       // everything may be read everywhere
	told    bool       // that something is read by namespace
	alone   bool       // no type that was asked about first may be read as a whole
	decided map[schema.GroupResource]bool
}

// NewScopes returns a Scopes for these namespaces; nil when there are none.
func NewScopes(reader Reader, include, exclude []string, log logr.Logger) *Scopes {
	var namespaces []string
	for _, n := range slices.Sorted(slices.Values(include)) {
		if !slices.Contains(exclude, n) && !slices.Contains(namespaces, n) {
			namespaces = append(namespaces, n)
		}
	}
	if len(namespaces) == 0 {
		return nil
	}
	return &Scopes{reader: reader, namespaces: namespaces, log: log, decided: make(map[schema.GroupResource]bool)}
}

const (
	// side is how many types are asked about side by side.
	side = 8
	// again is the wait before the API server is asked again that did not answer.
	again = time.Second
)

// Decide returns what is to be read of types: each as a whole, or its slices. It blocks until that is known
// of each, or ctx ends; then types of which it is not known are left out.
func (s *Scopes) Decide(ctx context.Context, types []resource.Type) []resource.Type {
	for s != nil && !s.decide(ctx, types) {
		select {
		case <-ctx.Done():
			return s.Of(types)
		case <-time.After(again):
		}
	}
	return s.Of(types)
}

// decide asks about the types that are not decided, and tells whether all are now.
func (s *Scopes) decide(ctx context.Context, types []resource.Type) bool {
	left := s.undecided(types)
	if len(left) == 0 {
		return true
	}
	s.mu.Lock()
	first := len(s.decided) == 0
	s.mu.Unlock()
	if first {
		all, err := s.reader.MayReadAll(ctx)
		if err != nil {
			s.log.V(1).Info("What may be read could not be asked, it is tried again", "reason", err.Error())
			return false
		}
		s.mu.Lock()
		s.all = all
		s.mu.Unlock()
	}
	var asked errgroup.Group
	asked.SetLimit(side)
	for _, t := range left {
		asked.Go(func() error { return s.ask(ctx, t) })
	}
	err := asked.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if first {
			clear(s.decided) // so that all are asked about at one time
		}
		s.log.V(1).Info("What may be read could not be asked, it is tried again", "reason", err.Error())
		return false
	}
	if first {
		s.alone = true
		for _, whole := range s.decided {
			s.alone = s.alone && !whole
		}
	}
	return true
}

// ask decides about one type.
func (s *Scopes) ask(ctx context.Context, t resource.Type) error {
	s.mu.Lock()
	whole := s.all
	s.mu.Unlock()
	if !whole {
		var err error
		if whole, err = s.reader.MayRead(ctx, t); err != nil {
			return err // It says everything.
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decided[groupResource(t)] = whole
	if !whole && !s.told {
		s.told = true
		s.log.Info("Not every type may be read in the whole cluster: such types are read in each of the namespaces by itself", "namespaces", s.namespaces)
	}
	return nil
}

// undecided returns the types that still have to be asked about. A type that is in no namespace is read as a
// whole or not at all, which is for its watch to find out.
func (s *Scopes) undecided(types []resource.Type) []resource.Type {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []resource.Type
	for _, t := range types {
		if _, decided := s.decided[groupResource(t)]; t.Namespaced && !decided {
			left = append(left, t)
		}
	}
	return left
}

// Of returns what is read of types, without those that are not decided.
func (s *Scopes) Of(types []resource.Type) []resource.Type {
	if s == nil {
		return types
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	read := make([]resource.Type, 0, len(types))
	for _, t := range types {
		whole, decided := s.decided[groupResource(t)]
		switch {
		case !t.Namespaced || whole:
			read = append(read, t)
		case decided:
			for _, n := range s.namespaces {
				read = append(read, t.In(n))
			}
		}
	}
	slices.SortFunc(read, resource.CompareTypes)
	return read
}

// ByNamespace tells whether something is read by namespace for lack of rights.
func (s *Scopes) ByNamespace() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// Alone tells whether nothing was allowed in the whole cluster when that was first asked, so that the
// namespaces are all there is to be read. What is in none is left out then, though everybody may read some of
// it, such as trust bundles.
func (s *Scopes) Alone() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// groupResource is what is decided about: another version of a type is read as the one before.
func groupResource(t resource.Type) schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}
}
