package checkpoint

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// format is the version of the encoding. A checkpoint of another version is not understood, and so not believed.
const format = 3

// Format is the version of the encoding, for people.
func Format() string { return strconv.Itoa(format) }

// MaxExcept bounds the exceptions of one checkpoint, of all types together. With 4 bytes each they stay below 64 KiB
// packed, together with 300 types in both checkpoints and all other keys. They should have room for the objects that
// wait while a receiver is down. If more objects wait, the successor sends again every later change of the IDs that
// [Entry.Until] leaves out.
const MaxExcept = 3500

// maxRefused bounds the exceptions of one type for objects that the receiver refuses.
const maxRefused = 50

// MaxEarlier bounds [Entry.Earlier] of a type: a member may end so many times in a row before its search is done.
const MaxEarlier = 4

// MaxInDoubt bounds [Checkpoint.InDoubt].
const MaxInDoubt = 500

// Entry is how far one type is in step.
type Entry struct {
	// Low is the resourceVersion up to which every change is acknowledged.
	Low uint64
	// High is the version up to which every change is acknowledged, except for objects that Except names or Until
	// leaves out. It is never below Low.
	High uint64
	// Until is the hash from which on High says nothing, because there are more unacknowledged objects than names
	// for them. For an ID whose [Short] is not below it, only Low counts. 0 leaves out none. A first sync goes in
	// the order of the hashes, so Until says how far it has come.
	Until uint32
	// Event is the version of the newest change of the type that the member had seen. Its successor must have seen
	// that version before it sends any object of the type.
	Event uint64
	// Sum is the sum of the member's index at the version SumAt. All members that have seen every event up to that
	// version have the same sum. SumAt is 0 where the entry has no sum.
	Sum, SumAt uint64
	// Deleted is the version up to which every deletion is acknowledged, except for open tombstones. It is below Low
	// while a search for unseen deletions runs, and 0 means that it equals Low. So the claim about existing objects
	// need not wait for the search, which takes long when the API server has forgotten the past.
	Deleted uint64
	// Earlier are versions of earlier checkpoints of the member's name, ascending, at most [MaxEarlier]. This
	// checkpoint has replaced those before the member has searched for the deletions since then.
	Earlier []uint64
	// Opaque tells that the versions of the type are no numbers: the entry only says that its objects were sent.
	Opaque bool
	// Except are the hashes of IDs about which the entry says nothing, at any version, ascending; see [Short].
	Except []uint32
	// Refused are the hashes of the IDs that the receiver refuses, ascending. The entry says nothing about these
	// either, and they keep no version back.
	Refused []uint32
}

// Short is the hash of an ID as exceptions name it. An ID with the hash of an exception costs one upsert without
// need. Of a million IDs, one such ID is expected among the most exceptions.
func Short(id resource.ID) uint32 { return id.Short() }

// Covers tells whether a state of an object, or its deletion, is known to be acknowledged. A version that is not a
// number (0) never is.
func (e Entry) Covers(id resource.ID, version uint64) bool {
	// This holds for every version: an excepted object has a state that is not acknowledged, and the caller may know
	// that state by an earlier version than the object's owner does.
	return version != 0 && version <= e.High && !e.excepts(id) && (e.Until == 0 || version <= e.Low || Short(id) < e.Until)
}

// deleted is the version up to which every deletion is acknowledged, except for open tombstones.
func (e Entry) deleted() uint64 {
	if e.Deleted > 0 {
		return min(e.Deleted, e.Low)
	}
	return e.Low
}

func (e Entry) excepts(id resource.ID) bool {
	if len(e.Except) == 0 && len(e.Refused) == 0 {
		return false
	}
	hash := Short(id)
	_, found := slices.BinarySearch(e.Except, hash)
	return found || e.refuses(hash)
}

func (e Entry) refuses(hash uint32) bool {
	_, refused := slices.BinarySearch(e.Refused, hash)
	return refused
}

// Doubt is an object that a request of unknown outcome may still change.
type Doubt struct {
	// ID is the hash of the object's ID ([resource.ID.Hash]).
	ID uint64
	// Version is the version of the state that the member knew, and Acknowledged tells whether that was
	// acknowledged.
	Version      uint64
	Acknowledged bool
	// Overwritable tells that the receiver may still apply another state than this.
	Overwritable bool
}

// encodeInDoubt writes two numbers for each object: the hash, and the version with both flags below it.
func encodeInDoubt(inDoubt []Doubt) []uint64 {
	var numbers []uint64
	for _, d := range inDoubt[:min(len(inDoubt), MaxInDoubt)] {
		n := d.Version << 2
		if d.Acknowledged {
			n |= 1
		}
		if d.Overwritable {
			n |= 2
		}
		numbers = append(numbers, d.ID, n)
	}
	return numbers
}

func decodeInDoubt(numbers []uint64) []Doubt {
	var inDoubt []Doubt
	for i := 0; i+1 < len(numbers); i += 2 {
		n := numbers[i+1]
		inDoubt = append(inDoubt, Doubt{ID: numbers[i], Version: n >> 2, Acknowledged: n&1 != 0, Overwritable: n&2 != 0})
	}
	return inDoubt
}

// Checkpoint is one member's statement about one target.
type Checkpoint struct {
	// Member makes the statement under the ring of the members in View; RingFormat is the format of that ring.
	Member     string
	View       []string
	RingFormat string
	// Takes are parts of which the checkpoint covers all partitions, and Yields parts of which it covers none.
	Takes, Yields []Part
	// Incarnation names the incarnation of the member that made the statement.
	Incarnation string
	// Fingerprint names the receiver, the selection and the cluster. Another fingerprint makes the checkpoint void.
	Fingerprint string
	// InDoubt are the objects, at most [MaxInDoubt], that a request of unknown outcome of the member may still change.
	InDoubt []Doubt
	// Types are the entries, by [resource.Type.String].
	Types map[string]Entry
}

type encoded struct {
	Format      int                     `json:"format"`
	Member      string                  `json:"member"`
	Incarnation string                  `json:"incarnation,omitempty"`
	View        []string                `json:"view"`
	Takes       []string                `json:"takes,omitempty"`
	Yields      []string                `json:"yields,omitempty"`
	Ring        string                  `json:"ring"`
	Fingerprint string                  `json:"fingerprint"`
	InDoubt     []uint64                `json:"doubts,omitempty"`
	Types       map[string]encodedEntry `json:"types"`
}

type encodedEntry struct {
	High   uint64   `json:"high"`
	Behind uint64   `json:"behind,omitempty"` // how far Low is below High
	Event  uint64   `json:"event,omitempty"`
	Sum    uint64   `json:"sum,omitempty"`
	SumAt  uint64   `json:"sumAt,omitempty"`
	Delete uint64   `json:"deleted,omitempty"`
	Before []uint64 `json:"earlier,omitempty"`
	Opaque bool     `json:"opaque,omitempty"`
	Except string   `json:"except,omitempty"` // base64 of 4 bytes each, little endian
	Refuse string   `json:"refused,omitempty"`
	// With Until, High is written as Low, and Reach as High. So a reader that does not know Until believes no more
	// than Low.
	Until uint32 `json:"until,omitempty"`
	Reach uint64 `json:"reach,omitempty"`
}

// Encode returns the checkpoint as text. Equal checkpoints have equal texts.
func (c Checkpoint) Encode() (string, error) {
	e := encoded{Format: format, Member: c.Member, Incarnation: c.Incarnation, View: c.View, Takes: encodeParts(c.Takes), Yields: encodeParts(c.Yields),
		Ring: c.RingFormat, Fingerprint: c.Fingerprint,
		InDoubt: encodeInDoubt(c.InDoubt), Types: make(map[string]encodedEntry, len(c.Types))}
	for name, t := range c.Types {
		entry := encodedEntry{High: t.High, Behind: t.High - t.Low, Event: t.Event, Sum: t.Sum, SumAt: t.SumAt, Delete: t.Deleted,
			Before: t.Earlier[max(len(t.Earlier)-MaxEarlier, 0):], Opaque: t.Opaque, Except: encodeHashes(t.Except), Refuse: encodeHashes(t.Refused)}
		if t.Until > 0 {
			entry.High, entry.Behind, entry.Until, entry.Reach = t.Low, 0, t.Until, t.High
		}
		e.Types[name] = entry
	}
	b, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encoding a checkpoint: %w", err)
	}
	return string(b), nil
}

// Decode reads the text of Encode. For any other text it returns an error, and never a checkpoint that claims more
// than was written.
func Decode(text string) (Checkpoint, error) {
	var e encoded
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return Checkpoint{}, fmt.Errorf("decoding a checkpoint: %w", err)
	}
	if e.Format != format {
		return Checkpoint{}, fmt.Errorf("checkpoint has format %d, want %d", e.Format, format)
	}
	if e.Member == "" || len(e.View) == 0 {
		return Checkpoint{}, errors.New("checkpoint names no member or no view")
	}
	takes, err := decodeParts(e.Takes)
	yields, err2 := decodeParts(e.Yields)
	if err := errors.Join(err, err2); err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{
		Member: e.Member, Incarnation: e.Incarnation, View: e.View, Takes: takes, Yields: yields, RingFormat: e.Ring, Fingerprint: e.Fingerprint,
		InDoubt: decodeInDoubt(e.InDoubt),
		Types:   make(map[string]Entry, len(e.Types)),
	}
	for name, t := range e.Types {
		except, err := decodeHashes(t.Except)
		refused, err2 := decodeHashes(t.Refuse)
		if err != nil || err2 != nil || t.Behind > t.High || (t.Until > 0) != (t.Reach > 0) || t.Reach > 0 && t.Reach < t.High {
			return Checkpoint{}, fmt.Errorf("checkpoint is malformed at %s", name)
		}
		entry := Entry{Low: t.High - t.Behind, High: max(t.High, t.Reach), Until: t.Until, Event: t.Event, Sum: t.Sum, SumAt: t.SumAt,
			Deleted: t.Delete, Earlier: t.Before, Opaque: t.Opaque, Except: except, Refused: refused}
		c.Types[name] = entry
	}
	return c, nil
}

func encodeHashes(hashes []uint32) string {
	raw := make([]byte, 0, 4*len(hashes))
	for _, h := range hashes {
		raw = binary.LittleEndian.AppendUint32(raw, h)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

var errHashes = errors.New("hashes are malformed")

// decodeHashes reads the text of encodeHashes, which must be ascending.
func decodeHashes(text string) ([]uint32, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return nil, errHashes
	}
	var hashes []uint32
	for ; len(raw) > 0; raw = raw[4:] {
		hashes = append(hashes, binary.LittleEndian.Uint32(raw))
	}
	if !slices.IsSorted(hashes) {
		return nil, errHashes
	}
	return hashes, nil
}

// Backlog holds the changes of one type whose acknowledgement a member has not seen.
type Backlog struct {
	// Version is the lowest version of these changes, 0 when that is not known.
	Version uint64
	// IDs are the objects, except for further ones that are known by their hashes only; see [Short].
	IDs     []resource.ID
	Further []uint32
	// Refused are objects that the receiver refuses. They are excepted as long as they are few, and keep no version
	// back.
	Refused []resource.ID
}

func (b Backlog) len() int { return len(b.IDs) + len(b.Further) }

// Bounds makes entries that say how far each type is acknowledged without a gap. Their only exceptions are objects
// that the receiver refuses. So they are short enough to speak for all partitions; [Entries] makes those for a
// member's own partitions.
func Bounds(seen map[string]uint64, backlog map[string]Backlog) map[string]Entry {
	entries := make(map[string]Entry, len(seen))
	for name, high := range seen {
		if b := backlog[name]; b.len() > 0 {
			high = min(max(b.Version, 1)-1, high)
		}
		entries[name] = Entry{Low: high, High: high, Refused: refused(backlog[name])}
	}
	return entries
}

// refused are the exceptions for objects that the receiver refuses: the successor tries them again.
func refused(b Backlog) []uint32 {
	if len(b.Refused) > maxRefused {
		return nil
	}
	return hashes(b.Refused)
}

// hashes returns the hashes of IDs and further ones, ascending.
func hashes(ids []resource.ID, further ...uint32) []uint32 {
	if len(ids)+len(further) == 0 {
		return nil
	}
	hs := append(make([]uint32, 0, len(ids)+len(further)), further...)
	for _, id := range ids {
		hs = append(hs, Short(id))
	}
	slices.Sort(hs)
	return hs
}

// Entries makes the entries of a checkpoint from the version up to which each type was seen, and its backlog. room
// is how many exceptions there may be; see [MaxExcept]. If there are more, each type that needs exceptions names
// equally many, those with the lowest hashes, and leaves out all objects with higher hashes.
func Entries(seen map[string]uint64, backlog map[string]Backlog, room int) map[string]Entry {
	entries := make(map[string]Entry, len(seen))
	var names []string
	for name, high := range seen {
		entries[name] = Entry{Low: high, High: high, Refused: refused(backlog[name])}
		if backlog[name].len() > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(backlog[a].len()-backlog[b].len(), strings.Compare(a, b))
	})
	for i, name := range names {
		entries[name] = entries[name].without(backlog[name], room/(len(names)-i))
		room -= len(entries[name].Except)
	}
	return entries
}

// without returns the entry of a type with a backlog, with room for so many exceptions.
func (e Entry) without(b Backlog, room int) Entry {
	e.Low, e.Except = min(max(b.Version, 1)-1, e.High), hashes(b.IDs, b.Further...)
	if len(e.Except) <= room {
		return e
	}
	e.Until, e.Except = e.Except[room], slices.Clone(e.Except[:room]) // The rest may be long.
	if e.Until == 0 || e.Low == e.High {
		e.Until, e.High = 0, e.Low
	}
	return e
}
