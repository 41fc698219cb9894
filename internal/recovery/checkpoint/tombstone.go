package checkpoint

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Tombstone is a deletion that the receiver may not know, or an object that may be deleted without the knowledge of
// any member.
type Tombstone struct {
	// Type is the type's name, ID the object's.
	Type string      `json:"type"`
	ID   resource.ID `json:"id"`
	// Version is the version of the deletion, or of a list that lacked the object. Where versions are no numbers it
	// is 0, and Digest is the digest of the object's last state.
	Version uint64 `json:"version,omitempty"`
	Digest  uint64 `json:"digest,omitempty"`
	// Lives tells that the object existed in the state of that version, when a member left that may have been the
	// only one to know it. Only a list that lacks the object makes a deletion of that.
	Lives bool `json:"-"` // The key says it: members of earlier releases do not read that key.
	// Lost tells that the object lives, and that the member's watch had lost its state of that digest. The owner
	// sends the object once more. The version is that of the list which has brought the state.
	Lost bool `json:"lost,omitempty"`
}

// Name names the tombstone among all members.
func (t Tombstone) Name() uint64 {
	switch {
	case t.Lost: // Members find the same state by different lists.
		return ^Name(t.ID, 0, t.Digest)
	case t.Lives:
		return ^Name(t.ID, t.Version, t.Digest)
	default:
		return Name(t.ID, t.Version, t.Digest)
	}
}

// Deletion is the tombstone of an object that is known to be gone.
func (t Tombstone) Deletion() Tombstone {
	t.Lives, t.Lost = false, false
	return t
}

// Name names one state of an object, or one deletion of it, among all members: by its version, and by the digest of
// the state where versions are no numbers. Two tombstones with one name would cost a deletion; of a million million,
// one such pair is expected.
func Name(id resource.ID, version, digest uint64) uint64 {
	if version == 0 {
		version = digest ^ 1<<63
	}
	return id.Hash() ^ version*0x9e3779b97f4a7c15
}

// Beside is the data that a member writes beside its checkpoints. The zero value has none.
type Beside struct {
	// Open are tombstones, at most [MaxOpen], that the member keeps because no member has named them as delivered.
	// The owner of each object takes them, whether the member is alive or gone. A member that leaves adds the living
	// objects that the others may not know.
	Open []Tombstone
	// Delivered are the names, at most [MaxDelivered], of deletions and of states without a version that the member
	// has delivered in the last minutes. A member that keeps one of these forgets it.
	Delivered []uint64
	// Stats are for [Ledger.Stats].
	Stats string
	// Last is for a member that has lost its Lease, and ends: it may have a successor of its name, whose checkpoint
	// it must not overwrite.
	Last bool
}

const (
	// MaxOpen bounds [Beside.Open]. It has room for the deletions that wait while a receiver is down for some
	// minutes, at 30 to 40 bytes each when packed.
	MaxOpen = 5000
	// MaxDelivered bounds [Beside.Delivered], at 8 bytes each. A deletion beyond it is delivered once more when a
	// member names it as open.
	MaxDelivered = 12000
)

// List is the tombstones that one member names, in one incarnation.
type List struct {
	Incarnation string
	Open        []Tombstone
	Delivered   map[uint64]struct{}
	// Sum names the open tombstones. Equal ones have equal sums.
	Sum string
}

func newList(incarnation string, open []Tombstone, delivered []uint64) List {
	l := List{Incarnation: incarnation, Open: open, Delivered: make(map[uint64]struct{}, len(delivered))}
	for _, name := range delivered {
		l.Delivered[name] = struct{}{}
	}
	if len(open) > 0 {
		h := xxhash.New()
		for _, t := range open {
			_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, t.Name())) // It does not fail.
		}
		l.Sum = strconv.FormatUint(h.Sum64(), 36)
	}
	return l
}

// encodeOpen returns the tombstones of deletions, or of living objects, as text, in a fixed order, cut to the size
// that fits.
func encodeOpen(open []Tombstone, lives bool) (string, error) {
	open = slices.Clone(open)
	slices.SortFunc(open, func(x, y Tombstone) int { return strings.Compare(string(x.ID), string(y.ID)) })
	open = slices.DeleteFunc(open[:min(len(open), MaxOpen)], func(t Tombstone) bool { return t.Lives != lives })
	if len(open) == 0 {
		return "", nil
	}
	b, err := json.Marshal(open)
	if err != nil {
		return "", fmt.Errorf("encoding tombstones: %w", err)
	}
	return string(b), nil
}

// decodeOpen reads both texts of encodeOpen.
func decodeOpen(deletions, living string) ([]Tombstone, error) {
	open, err := decodeTombstones(deletions)
	alive, err2 := decodeTombstones(living)
	for i := range alive {
		alive[i].Lives = true
	}
	open = append(open, alive...)
	return open[:min(len(open), MaxOpen)], errors.Join(err, err2)
}

func decodeTombstones(text string) ([]Tombstone, error) {
	if text == "" {
		return nil, nil
	}
	var all []Tombstone
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("decoding tombstones: %w", err)
	}
	return all[:min(len(all), MaxOpen)], nil
}

// encodeNames returns names as text, ascending, cut to the size that fits.
func encodeNames(names []uint64) string {
	names = slices.Sorted(slices.Values(names[:min(len(names), MaxDelivered)]))
	raw := make([]byte, 0, 8*len(names))
	for _, n := range names {
		raw = binary.LittleEndian.AppendUint64(raw, n)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func decodeNames(text string) ([]uint64, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw)%8 != 0 || len(raw) > 8*MaxDelivered {
		return nil, errHashes
	}
	var names []uint64
	for ; len(raw) > 0; raw = raw[8:] {
		names = append(names, binary.LittleEndian.Uint64(raw))
	}
	return names, nil
}
