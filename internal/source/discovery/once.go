package discovery

import (
	"context"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Answer is the result of [Discovery.Once].
type Answer struct {
	// Types are the types that Run would watch, sorted.
	Types []resource.Type
	// LeftOut are the types that could be watched and are left out, sorted. The filter leaves them out, or another
	// type in Types has the same objects.
	LeftOut []resource.Type
	// Failed has the groups that could not be discovered, in the form of [Change.Failed].
	Failed map[string]error
	// Unknown has the patterns of the filter that match no served type; nil while groups fail.
	Unknown []string
	// ShortNames are the short names that the server has told, for [resource.Filter.WithShortNames].
	ShortNames map[string][]string
}

// Once asks the API server once which types it serves, and returns the types that [Discovery.Run] would watch at
// its start. Once starts no watch. It fails when there is no answer at all.
func (d *Discovery) Once(ctx context.Context) (Answer, error) {
	a := d.ask(ctx)
	if a.err != nil {
		return Answer{}, fmt.Errorf("discovering the served resources: %w", a.err)
	}
	s := newLoop(d, nil).state
	c := s.step(a, evidence{}, time.Now())
	found := Answer{Types: c.Types, Failed: c.Failed, Unknown: c.Unknown, ShortNames: s.shorts}
	wanted := make(map[resource.Type]bool, len(c.Types))
	for _, t := range c.Types {
		wanted[t] = true
	}
	for _, t := range a.types() {
		if !wanted[t] {
			found.LeftOut = append(found.LeftOut, t)
		}
	}
	return found, nil
}
