package discovery

import (
	"context"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Answer is what one look at what is served has found.
type Answer struct {
	// Types are those that would be watched, sorted.
	Types []resource.Type
	// LeftOut are those that could be watched and are not wanted, sorted: by the filter, or because another type
	// of Types holds the same objects.
	LeftOut []resource.Type
	// Failed has the groups that could not be discovered, as [Change.Failed] has them.
	Failed map[string]error
	// Unknown has the patterns of the filter that name nothing that is served; nil while groups fail.
	Unknown []string
	// ShortNames are those that the server has told, for [resource.Filter.WithShortNames].
	ShortNames map[string][]string
}

// Once asks once what is served, and returns what [Discovery.Run] would have watched at its start. Nothing is
// watched and nothing is told. It fails when there is no answer at all.
func (d *Discovery) Once(ctx context.Context) (Answer, error) {
	a := d.ask(ctx)
	if a.err != nil {
		return Answer{}, fmt.Errorf("discovering what is served: %w", a.err)
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
