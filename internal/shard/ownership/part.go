package ownership

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Kind is one resource type at one receiver, from which parts are cut. The zero Kind stands for requests that no
// part covers.
type Kind struct {
	// Target is the key of the receiver; Group, Version and Resource name the type.
	Target, Group, Version, Resource string
}

// Part is what one member takes as a whole, with all its partitions, while it resyncs it. It is a kind, or the
// objects of a kind whose namespaces lie in a range. Cluster-scoped objects have the empty namespace.
type Part struct {
	Kind
	// From is the first name of a namespace in the part, Until the first name after it. Empty is no bound.
	From, Until string
}

// String returns the part as Leases carry it. No name in it can hold a slash.
func (p Part) String() string {
	return strings.Join([]string{p.Target, p.Group, p.Version, p.Resource, p.From, p.Until}, "/")
}

// parsePart reads the text that String wrote.
func parsePart(s string) (Part, bool) {
	f := strings.Split(s, "/")
	if len(f) != 6 {
		return Part{}, false
	}
	p := Part{Kind: Kind{Target: f[0], Group: f[1], Version: f[2], Resource: f[3]}, From: f[4], Until: f[5]}
	return p, p.Resource != "" && (p.Until == "" || p.From < p.Until)
}

// FormatParts returns parts as one text.
func FormatParts(parts []Part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// ParseParts reads the text that FormatParts wrote, and tells whether it could read the whole text.
func ParseParts(text string) (parts []Part, ok bool) {
	if text == "" {
		return nil, true
	}
	for s := range strings.SplitSeq(text, ",") {
		p, ok := parsePart(s)
		if !ok {
			return nil, false
		}
		parts = append(parts, p)
	}
	return sortParts(parts), true
}

// Covers tells whether the objects of a namespace belong to the part, if they are of its kind.
func (p Part) Covers(namespace string) bool {
	return namespace >= p.From && (p.Until == "" || namespace < p.Until)
}

func (p Part) overlaps(o Part) bool {
	return p.Kind == o.Kind && (p.Until == "" || o.From < p.Until) && (o.Until == "" || p.From < o.Until)
}

func overlapsAny(p Part, with []Part) bool { return slices.ContainsFunc(with, p.overlaps) }

// beats tells whether member goes on, rather than other, where both have taken overlapping parts: a coin that all
// members toss alike. The coin is the same for all kinds of a target. With a coin for each kind, each of two
// members could win the kind that the other waits for.
func (k Kind) beats(member, other string) bool {
	rank := func(name string) uint64 { return xxhash.Sum64String(k.Target + "/" + name) }
	return cmp.Or(cmp.Compare(rank(member), rank(other)), strings.Compare(member, other)) > 0
}

func compareParts(a, b Part) int {
	return cmp.Or(strings.Compare(a.Target, b.Target), strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Version, b.Version), strings.Compare(a.From, b.From), strings.Compare(a.Until, b.Until))
}

// sortParts sorts parts into the order for comparisons, each once.
func sortParts(parts []Part) []Part {
	slices.SortFunc(parts, compareParts)
	return slices.Compact(parts)
}

// Claim is a member's declaration of the area for which it may be sending.
type Claim struct {
	// View is the sorted names of the members under which this one works. A Claim without a View claims nothing.
	View []string
	// Takes are the parts of which it claims all partitions. Of all other objects it claims its share in the ring of
	// the view, without Yields, which others take. Both are sorted.
	Takes, Yields []Part
}

func (c *Claim) same(o *Claim) bool {
	return sameView(c.View, o.View) && slices.Equal(c.Takes, o.Takes) && slices.Equal(c.Yields, o.Yields)
}

func (c *Claim) clone() Claim {
	return Claim{View: slices.Clone(c.View), Takes: slices.Clone(c.Takes), Yields: slices.Clone(c.Yields)}
}
