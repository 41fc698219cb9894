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

// Deletion is one that the receiver may not know of.
type Deletion struct {
	// Type is the type's name, ID the object's.
	Type string
	ID   resource.ID
	// The deletion lies after the version After, and not after Version.
	After, Version uint64
}

// Deletions is a list of them.
type Deletions []Deletion

// Beside is what a member writes beside its checkpoints. The zero value is nothing.
type Beside struct {
	// Told are deletions, at most [MaxDeletions], that the member has seen and does not own, and of which the owner may know
	// nothing: the owner's view of the type begins with a list that was taken after them. It takes them, and says so
	// ([Checkpoint.Heard]).
	Told Deletions
	// Pending are deletions, at most [MaxPending], that wait for the receiver. If the member goes, and nobody is left who has
	// seen them, no list of the past need show them: what is created, delivered and deleted since the last checkpoint is in
	// none. Whoever comes takes them, unless their owner says that it has ([Checkpoint.Taken]).
	Pending Deletions
	// Figures are for [Book.Figures].
	Figures string
	// Last is for a member that has lost its Lease, and ends: it may have a successor of its name, whose word is not
	// overwritten.
	Last bool
}

const (
	// MaxDeletions bounds [Beside.Told]. What does not fit is told when those before have been taken.
	MaxDeletions = 400
	// MaxPending bounds [Beside.Pending]: what a receiver that is down for some minutes keeps waiting, at 30 to 40 bytes each when packed.
	MaxPending = 5000
)

// List is what one member names, in one stay in the ring. Sum names the list.
type List struct {
	Sum         string
	Incarnation string
	Deletions   Deletions
}

// list names a list.
func list(incarnation string, d Deletions) List {
	return List{Sum: d.Sum(), Incarnation: incarnation, Deletions: d}
}

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
func (d Deletions) sorted(most int) Deletions {
	d = slices.Clone(d)
	slices.SortFunc(d, func(x, y Deletion) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return d[:min(len(d), most)]
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
