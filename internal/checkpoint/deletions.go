package checkpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Deletion is one that a member has seen and does not own, and of which the owner may know nothing: the owner's view of
// the type begins with a list that was taken after it. In the last checkpoint of a stay it is any that is not acknowledged.
type Deletion struct {
	// Type is the type's name, ID the object's.
	Type string
	ID   resource.ID
	// The deletion lies after the version After, and not after Version.
	After, Version uint64
}

// Deletions are what a member tells the owners.
type Deletions []Deletion

// MaxDeletions bounds a list. What does not fit is told when those before have been taken.
const MaxDeletions = 400

// Sum names a list. Equal lists have equal sums.
func (d Deletions) Sum() string {
	if len(d) == 0 {
		return ""
	}
	h := xxhash.New()
	for _, e := range d {
		_, _ = fmt.Fprintf(h, "%s %s %d\n", e.Type, e.ID, e.Version) // It does not fail.
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

func (d Deletions) has(id resource.ID, version uint64) bool {
	return slices.ContainsFunc(d, func(e Deletion) bool { return e.ID == id && e.Version == version })
}

// sorted returns the list in the one order that it is written in, cut to what fits.
func (d Deletions) sorted() Deletions {
	d = slices.Clone(d)
	slices.SortFunc(d, func(x, y Deletion) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return d[:min(len(d), MaxDeletions)]
}

func (d Deletions) encode() (string, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encoding deletions: %w", err)
	}
	return string(b), nil
}

func decodeDeletions(text string) (Deletions, error) {
	if text == "" {
		return nil, nil
	}
	var d Deletions
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("decoding deletions: %w", err)
	}
	return d, nil
}
