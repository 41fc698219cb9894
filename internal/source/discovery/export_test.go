package discovery

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// State opens the pure step to tests.
type State struct{ s *state }

// NewState returns a state that knows types.
func NewState(filter Filter, doubt time.Duration, known ...resource.Type) State {
	return State{newState(filter, doubt, known)}
}

// Evidence has the names of definitions that exist or were deleted, for a test.
type Evidence struct{ CRDs, DeletedCRDs, DeletedServices []string }

// Step takes the results of a discovery client.
func (s State) Step(groups []*metav1.APIGroup, lists []*metav1.APIResourceList, err error, ev Evidence, now time.Time) Change {
	set := func(names []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return s.s.step(newAnswer(groups, lists, err), evidence{
		crds: set(ev.CRDs), crdsDeleted: set(ev.DeletedCRDs), servicesDeleted: set(ev.DeletedServices),
	}, now)
}

// Missing returns the types that the last answer lacked.
func (s State) Missing() []resource.Type { return s.s.missing() }

// Everything is the filter that matches every type.
type Everything = everything

// Aliases returns both sides of the table of aliases.
func Aliases() map[string]string {
	m := map[string]string{}
	for a, b := range aliases {
		m[a.String()] = b.String()
	}
	return m
}
