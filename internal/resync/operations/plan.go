package operations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Weight is the size of one type.
type Weight struct {
	// Type is the type.
	Type resource.Type
	// Objects is the number of objects. It is ignored where Namespaces are given.
	Objects int
	// Namespaces are the numbers of objects by namespace. Plan splits only a type that is more than half a member's
	// fair share, so only for such a type are they of use. Without them, and for cluster-scoped types, a type stays
	// whole.
	Namespaces map[string]int
}

// Part is a piece of an operation that one member sends: a type, or the namespaces of a type whose names lie in a
// range. Ranges keep a plan short, whatever the number of namespaces. Unlike lists of names, they leave no gap
// for a namespace that is created after planning.
type Part struct {
	// Key names the part within its operation. The member to which the ring gives the key takes over when Member is
	// gone.
	Key string
	// Type is the type to send.
	Type resource.Type
	// From and Until bound the names of the namespaces: From is the first name, Until the first name after the part.
	// Empty means no bound; both empty means the whole type.
	From, Until string
	// Namespaces are the names within the bounds that exist when the part is run; nil means the whole type. A
	// plan does not have them.
	Namespaces []string
	// Member is the assignee.
	Member string
	// Objects is the number of objects at planning.
	Objects int
	// OwnedOnly says that the member sends only objects that it owns, and that no other member takes over.
	OwnedOnly bool
	// Held says that the part sends nothing: the member carries out its held repairs, which wait for a person's
	// consent, for all types of the request. Such a part has no Type. Its next assignee carries out its own held
	// repairs.
	Held bool
}

// PartObjects bounds the objects of a part that can be cut, and of parts that are run together. It takes about a
// minute at the pace of a receiver that takes 50 in half a second. A member that is slow, or dies, holds up no
// more.
const PartObjects = 5000

// alone tells whether a part runs without others in its batch.
func (p Part) alone() bool { return p.OwnedOnly || p.Held }

// Split tells whether the part is less than the whole type.
func (p Part) Split() bool { return p.From != "" || p.Until != "" }

// Covers tells whether a namespace belongs to the part.
func (p Part) Covers(namespace string) bool {
	return namespace >= p.From && (p.Until == "" || namespace < p.Until)
}

// name names a part for people.
func (p Part) name() string {
	if p.Held {
		return "deletions held back"
	}
	return p.Type.String()
}

// planHeld makes the parts of an operation with force in which these members carry out their held repairs.
func planHeld(members []string, ownedOnly bool) []Part {
	parts := make([]Part, 0, len(members))
	for _, m := range members {
		parts = append(parts, Part{Key: "held/" + m, Member: m, OwnedOnly: ownedOnly, Held: true})
	}
	return parts
}

// key is the Key of a part.
func key(t resource.Type, from, until string) string {
	if from == "" && until == "" {
		return t.String()
	}
	return t.String() + "/" + from // A slash is in no name of a type.
}

// Plan shares out types over members. A type that is more than half a member's fair share of all objects is cut
// by namespaces. The largest pieces go first. Each goes to the member that the ring gives its type to, unless
// that member then has more than 1.5 times the fair share. In that case it goes to the member with the least. So
// no member is left with more than that, and no part that can be cut has more than [PartObjects].
//
// The exceptions are pieces that cannot be cut, and have more than half a fair share of all objects: a
// cluster-scoped type, or a single namespace of a type. Where there are such pieces, a member is above the bound
// only if moving any other piece would help no member.
//
// Members are distinct and at least one; their order means nothing, nor does that of the types. The parts are
// sorted by member, then type, then range. Plan fails when no ring can be built from the members.
func Plan(members []string, format ring.Format, types []Weight) ([]Part, error) {
	r, err := ring.New(members, format)
	if err != nil {
		return nil, fmt.Errorf("planning a resync: %w", err)
	}
	members = r.Members()
	var pieces []*piece
	total := 0
	for _, w := range types {
		x := newPiece(w)
		x.member, _ = slices.BinarySearch(members, r.Owner(r.Partition(w.Type.String())))
		total += x.objects
		pieces = append(pieces, x)
	}
	pieces = cut(pieces, func(objects int) bool { return objects*2*len(members) <= total })
	slices.SortFunc(pieces, func(a, b *piece) int { return cmp.Or(b.objects-a.objects, a.compare(b)) })
	loads := make([]int, len(members))
	for _, x := range pieces {
		if (loads[x.member]+x.objects)*2*len(members) > 3*total {
			x.member = slices.Index(loads, slices.Min(loads))
		}
		loads[x.member] += x.objects
	}
	pieces = cut(join(pieces), func(objects int) bool { return objects <= PartObjects })
	parts := make([]Part, 0, len(pieces))
	for _, x := range pieces {
		parts = append(parts, Part{
			Key: key(x.Type, x.from, x.until), Type: x.Type, From: x.from, Until: x.until, Member: members[x.member], Objects: x.objects,
		})
	}
	slices.SortFunc(parts, compareParts)
	return parts, nil
}

// planReplica makes a plan in which one member sends all types.
func planReplica(member string, types []Weight) []Part {
	parts := make([]Part, 0, len(types))
	for _, w := range types {
		parts = append(parts, Part{Key: key(w.Type, "", ""), Type: w.Type, Member: member, Objects: max(w.Objects, 0), OwnedOnly: true})
	}
	slices.SortFunc(parts, compareParts)
	return parts
}

func compareParts(a, b Part) int {
	return cmp.Or(strings.Compare(a.Member, b.Member), resource.CompareTypes(a.Type, b.Type), strings.Compare(a.From, b.From))
}

// space is a namespace with the number of its objects of the type.
type space struct {
	name    string
	objects int
}

// piece is a part under construction.
type piece struct {
	Type        resource.Type
	from, until string
	spaces      []space // in the range, by name; none or one cannot be cut
	objects     int
	member      int // its index
}

// newPiece makes one piece of a whole type. It has no spaces if the type must stay whole.
func newPiece(w Weight) *piece {
	if !w.Type.Namespaced || len(w.Namespaces) == 0 {
		return &piece{Type: w.Type, objects: max(w.Objects, 0)}
	}
	x := &piece{Type: w.Type}
	for _, name := range slices.Sorted(maps.Keys(w.Namespaces)) {
		x.spaces = append(x.spaces, space{name: name, objects: max(w.Namespaces[name], 0)})
		x.objects += max(w.Namespaces[name], 0)
	}
	return x
}

func (p *piece) compare(o *piece) int {
	return cmp.Or(resource.CompareTypes(p.Type, o.Type), strings.Compare(p.from, o.from))
}

// cut cuts a piece that is too large and can be cut into pieces that are small, or of one namespace.
func cut(pieces []*piece, small func(objects int) bool) []*piece {
	var cuts []*piece
	for _, p := range pieces {
		if len(p.spaces) < 2 || small(p.objects) {
			cuts = append(cuts, p)
			continue
		}
		next := &piece{Type: p.Type, from: p.from, member: p.member}
		for i, s := range p.spaces {
			if i > 0 && !small(next.objects+s.objects) {
				next.until = s.name
				cuts = append(cuts, next)
				next = &piece{Type: p.Type, from: s.name, member: p.member}
			}
			next.spaces = append(next.spaces, s)
			next.objects += s.objects
		}
		next.until = p.until
		cuts = append(cuts, next)
	}
	return cuts
}

// join joins neighbours that have stayed with one member.
func join(pieces []*piece) []*piece {
	slices.SortFunc(pieces, (*piece).compare)
	var joined []*piece
	for _, x := range pieces {
		if n := len(joined); n > 0 && joined[n-1].Type == x.Type && x.from != "" && joined[n-1].until == x.from && joined[n-1].member == x.member {
			last := joined[n-1]
			last.until, last.objects, last.spaces = x.until, last.objects+x.objects, slices.Concat(last.spaces, x.spaces)
			continue
		}
		joined = append(joined, x)
	}
	return joined
}
