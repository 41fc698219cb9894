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

// Reader tells which types may be read; [Reviews] is one.
type Reader interface {
	MayRead(ctx context.Context, t resource.Type) (bool, error)
	MayReadAll(ctx context.Context) (bool, error)
}

// Scopes decides which types are read as a whole, and which by namespace. Make one with [NewScopes]. A nil
// Scopes, for a configuration that names no namespaces, reads every type as a whole.
type Scopes struct {
	reader     Reader
	namespaces []string
	log        logr.Logger

	mu      sync.Mutex // guards the fields below
	all     bool       // all types may be read in all namespaces
	told    bool       // the log says that some type is read by namespace
	alone   bool       // no type of the first call of decide may be read as a whole
	decided map[schema.GroupResource]bool
}

// NewScopes returns a Scopes for the included namespaces that are not excluded; nil when there are none.
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
	// side is how many requests for rights run at the same time.
	side = 8
	// again is the pause before the next request to an API server that did not answer.
	again = time.Second
)

// Decide returns each of types as a whole, or as its slices. It blocks until all types are decided, or ctx ends;
// then it leaves out types that are not decided.
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

// decide asks about the types that are not decided, and tells whether all types are decided after that.
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
			s.log.V(1).Info("The API server could not be asked for the account's rights; trying again", "reason", err.Error())
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
			clear(s.decided) // so that the next call decides all types at one time
		}
		s.log.V(1).Info("The API server could not be asked for the account's rights; trying again", "reason", err.Error())
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
			return err // The error needs no more context.
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

// undecided returns the types without a decision. A type that is in no namespace needs none: it is read as a
// whole or not at all, and its watch finds that out.
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

// Of returns each of types as a whole, or as its slices, without types that are not decided.
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

// ByNamespace tells whether some type is read by namespace for lack of rights.
func (s *Scopes) ByNamespace() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// Alone tells whether the account may read types only in the named namespaces, by the answers to the first
// questions. Then types that are in no namespace are left out, even those that every account may read, such as
// trust bundles.
func (s *Scopes) Alone() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// groupResource returns the key of a decision. It has no version, so that another version of a type is read in
// the same way.
func groupResource(t resource.Type) schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}
}
