package operations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

// Weight is how much there is of one type.
type Weight struct {
	// Type is the type.
	Type resource.Type
	// Objects is how many there are. It is ignored where Namespaces are given.
	Objects int
	// Namespaces are the objects by namespace. Only a type that is more than half a member's fair share is ever split, so
	// only there are they of use. Without them, and for cluster-scoped types, a type stays whole.
	Namespaces map[string]int
}

// Part is a piece of an operation that one member sends: a type, or the namespaces of a type whose names lie in a range.
// Ranges rather than lists of names keep a plan short, whatever the number of namespaces, and leave no gap for one that is
// created after planning.
type Part struct {
	// Key names the part within its operation. Whoever the ring gives the key to takes over when Member is gone.
	Key string
	// Type is what is to be sent.
	Type resource.Type
	// From and Until bound the names of the namespaces: From is the first name, Until the first that is not in the part
	// any more. Empty means no bound; both empty means the whole type.
	From, Until string
	// Namespaces are the names within the bounds that exist when the part is run; nil means the whole type. A plan does not
	// have them.
	Namespaces []string
	// Member is the assignee.
	Member string
	// Objects is how many objects there were at planning.
	Objects int
	// OwnedOnly says that only objects that the member owns are to be sent, and that nobody else is to take over.
	OwnedOnly bool
	// Held says that nothing is to be sent: what the member holds back of all types of the request, for want of a person's
	// word, is to be repaired. Such a part has no Type. Whoever takes it over repairs what it holds back itself.
	Held bool
}

// PartObjects bounds the objects of a part that can be cut, and of parts that are run together: about a minute at the pace
// of a receiver that takes 50 in half a second. A member that is slow, or dies, holds up no more.
const PartObjects = 5000

// alone tells whether a part is not run together with others.
func (p Part) alone() bool { return p.OwnedOnly || p.Held }

// Split tells whether the part is less than the whole type.
func (p Part) Split() bool { return p.From != "" || p.Until != "" }

// Covers tells whether a namespace belongs to the part.
func (p Part) Covers(namespace string) bool {
	return namespace >= p.From && (p.Until == "" || namespace < p.Until)
}

// name is what a part is about, for people.
func (p Part) name() string {
	if p.Held {
		return "deletions held back"
	}
	return p.Type.String()
}

// planHeld makes the parts of an operation with force in which these members repair what they hold back.
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

// Plan shares out types over members. A type goes to the member that the ring gives its name to; then the cheapest parts
// that help move from members with too much to those with the least, and a type that is too large to be moved is cut by
// namespaces. Nobody is left with more than 1.5 times the fair share of objects, and no part that can be cut has more than
// [PartObjects].
//
// The exception is what cannot be cut: a cluster-scoped type, or a single namespace of a type, that has more than half
// a fair share of all objects. Where there are such, a member is above the bound only with nothing else that could be
// moved to anybody's advantage.
//
// Members are distinct and at least one; their order means nothing, nor does that of the types. The parts come sorted
// by member, then type, then range. Plan fails when no ring can be built from the members.
func Plan(members []string, format ring.Format, types []Weight) ([]Part, error) {
	r, err := ring.New(members, format)
	if err != nil {
		return nil, fmt.Errorf("planning a resync: %w", err)
	}
	p := &planner{members: r.Members(), loads: make([]int, len(members))}
	for _, w := range types {
		i, _ := slices.BinarySearch(p.members, r.Owner(r.Partition(w.Type.String())))
		p.add(piece{Type: w.Type, spaces: spaces(w), member: i}, w.Objects)
	}
	p.balance()
	p.bound()
	return p.parts(), nil
}

// planReplica makes a plan in which one member does it all.
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

// space is a namespace and how many objects of the type are in it.
type space struct {
	name    string
	objects int
}

// spaces returns the namespaces of a type by name, none if it must stay whole.
func spaces(w Weight) []space {
	if !w.Type.Namespaced {
		return nil
	}
	ss := make([]space, 0, len(w.Namespaces))
	for _, name := range slices.Sorted(maps.Keys(w.Namespaces)) {
		ss = append(ss, space{name: name, objects: max(w.Namespaces[name], 0)})
	}
	return ss
}

// piece is a part in the making.
type piece struct {
	Type        resource.Type
	from, until string
	spaces      []space // in the range, by name; none or one cannot be cut
	objects     int
	member      int // index in planner.members
}

func (p *piece) compare(o *piece) int {
	return cmp.Or(resource.CompareTypes(p.Type, o.Type), strings.Compare(p.from, o.from))
}

type planner struct {
	members []string // sorted
	pieces  []*piece
	loads   []int // by member
	total   int
}

func (p *planner) add(x piece, objects int) {
	x.objects = max(objects, 0)
	if len(x.spaces) > 0 {
		x.objects = 0
		for _, s := range x.spaces {
			x.objects += s.objects
		}
	}
	p.pieces = append(p.pieces, &x)
	p.loads[x.member] += x.objects
	p.total += x.objects
}

// fits tells whether a load is at most 1.5 times the fair share.
func (p *planner) fits(load int) bool { return load*2*len(p.members) <= 3*p.total }

// small tells whether a piece is at most half a fair share. The least loaded member has no more than a fair share, so a
// small piece always finds room.
func (p *planner) small(objects int) bool { return objects*2*len(p.members) <= p.total }

// balance brings every load within bounds, as far as it can be. It ends, because each move makes the sum of the squares
// of the loads smaller, and what can be cut becomes less.
func (p *planner) balance() {
	slices.SortFunc(p.pieces, (*piece).compare) // so that the order of the types means nothing
	stuck := make(map[int]bool)
	for {
		heavy := -1
		for m, load := range p.loads {
			if !p.fits(load) && !stuck[m] && (heavy < 0 || load > p.loads[heavy]) {
				heavy = m
			}
		}
		switch {
		case heavy < 0:
			return
		case p.move(heavy) || p.cut(heavy) || p.improve(heavy):
			clear(stuck)
		default:
			stuck[heavy] = true
		}
	}
}

// least is the member with the least to do.
func (p *planner) least() int { return slices.Index(p.loads, slices.Min(p.loads)) }

func (p *planner) give(x *piece, to int) {
	p.loads[x.member] -= x.objects
	p.loads[to] += x.objects
	x.member = to
}

// move gives one piece of a member to the least loaded one, where it must fit: the cheapest that brings the member within
// bounds, or else the dearest.
func (p *planner) move(from int) bool {
	to := p.least()
	var best *piece
	for _, x := range p.pieces {
		if x.member != from || x.objects == 0 || !p.fits(p.loads[to]+x.objects) {
			continue
		}
		if best == nil || p.better(x, best, p.loads[from]) {
			best = x
		}
	}
	if best == nil {
		return false
	}
	p.give(best, to)
	return true
}

// better tells whether moving x away from a member with this load is better than moving y.
func (p *planner) better(x, y *piece, load int) bool {
	enough := p.fits(load - x.objects)
	if enough != p.fits(load-y.objects) {
		return enough
	}
	if enough {
		return x.objects < y.objects
	}
	return x.objects > y.objects
}

// cut cuts the largest piece of a member that can be cut into pieces of at most half a fair share, or of one namespace.
func (p *planner) cut(member int) bool {
	at := -1
	for i, x := range p.pieces {
		if x.member == member && len(x.spaces) > 1 && !p.small(x.objects) && (at < 0 || x.objects > p.pieces[at].objects) {
			at = i
		}
	}
	if at < 0 {
		return false
	}
	p.pieces = slices.Replace(p.pieces, at, at+1, p.pieces[at].cutUp(p.small)...)
	return true
}

// cutUp cuts a piece into pieces that are small, or of one namespace.
func (p *piece) cutUp(small func(objects int) bool) []*piece {
	var cuts []*piece
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
	return append(cuts, next)
}

// improve gives the cheapest piece of a member to the least loaded one, although that one is then above the bound, if it
// has less than the giver had.
func (p *planner) improve(from int) bool {
	to := p.least()
	var best *piece
	for _, x := range p.pieces {
		if x.member == from && x.objects > 0 && p.loads[to]+x.objects < p.loads[from] && (best == nil || x.objects < best.objects) {
			best = x
		}
	}
	if best == nil {
		return false
	}
	p.give(best, to)
	return true
}

// bound joins neighbours that have stayed with one member, and cuts what is too large.
func (p *planner) bound() {
	slices.SortFunc(p.pieces, (*piece).compare)
	var joined []*piece
	for _, x := range p.pieces {
		if n := len(joined); n > 0 && joined[n-1].Type == x.Type && joined[n-1].until == x.from && x.from != "" && joined[n-1].member == x.member {
			last := joined[n-1]
			last.until, last.objects, last.spaces = x.until, last.objects+x.objects, append(slices.Clone(last.spaces), x.spaces...)
			continue
		}
		joined = append(joined, x)
	}
	p.pieces = nil
	for _, x := range joined {
		if len(x.spaces) > 1 && x.objects > PartObjects {
			p.pieces = append(p.pieces, x.cutUp(func(objects int) bool { return objects <= PartObjects })...)
		} else {
			p.pieces = append(p.pieces, x)
		}
	}
}

// parts puts all in order.
func (p *planner) parts() []Part {
	parts := make([]Part, 0, len(p.pieces))
	for _, x := range p.pieces {
		parts = append(parts, Part{
			Key: key(x.Type, x.from, x.until), Type: x.Type, From: x.from, Until: x.until,
			Member: p.members[x.member], Objects: x.objects,
		})
	}
	slices.SortFunc(parts, compareParts)
	return parts
}
