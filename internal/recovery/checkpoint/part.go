package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Part is a type, or the objects of it whose namespaces lie in a range, that one member takes as a whole for a resync.
type Part struct {
	// Type is the name of the whole type, as [resource.Type.String] has it.
	Type string
	// From is the first namespace of the part, Until the first one after it. Empty means no bound.
	From, Until string
}

func (p Part) covers(typeName, namespace string) bool {
	whole, _ := resource.WholeName(typeName)
	return p.Type == whole && namespace >= p.From && (p.Until == "" || namespace < p.Until)
}

// taken tells whether a checkpoint covers an object because its member takes a part, or does not because it yields
// one. If decided is false, the object's partition decides.
func (c *Checkpoint) taken(typeName string, id resource.ID) (taken, decided bool) {
	if len(c.Takes)+len(c.Yields) == 0 {
		return false, false
	}
	namespace, _, _ := strings.Cut(string(id), "/")
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	covers := func(p Part) bool { return p.covers(typeName, namespace) }
	taken = slices.ContainsFunc(c.Takes, covers)
	return taken, taken || slices.ContainsFunc(c.Yields, covers)
}

func encodeParts(parts []Part) []string {
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Type+"/"+p.From+"/"+p.Until)
	}
	return texts
}

func decodeParts(texts []string) ([]Part, error) {
	var parts []Part
	for _, text := range texts {
		f := strings.Split(text, "/")
		if len(f) != 3 || f[0] == "" {
			return nil, fmt.Errorf("part %q of a checkpoint is malformed", text)
		}
		parts = append(parts, Part{Type: f[0], From: f[1], Until: f[2]})
	}
	return parts, nil
}
