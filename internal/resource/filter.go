package resource

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Filter decides which types are watched. Its zero value matches every type.
type Filter struct {
	include, exclude []pattern
	shorts           map[string][]string // see WithShortNames; never changed
}

// DefaultExcludes are the types that change all the time and tell a reader of the cluster nothing.
func DefaultExcludes() []string { return []string{"events", "leases", "endpointslices"} }

// NewFilter matches the types that one of include names, all types when include is empty, except those that one of
// exclude names. A pattern is compared, in any case, with each of a type's names:
//
//	deployments            the plural (or the kind, or a short name such as deploy), in any group and version
//	deployments.apps       with its group; the core group may be spelled core: pods.core
//	deployments.v1.apps    with version and group, as [Type.String] spells it; pods.v1 in the core group
//
// In it, * stands for any characters but a dot: *.example.com is every type of the group example.com, *.*.example.com
// is every type of that group and of those one level below it (a.example.com), and * is every type.
//
// Malformed patterns are errors, and so are excludes that leave no type of the includes.
func NewFilter(include, exclude []string) (Filter, error) {
	var f Filter
	for _, list := range []struct {
		texts    []string
		patterns *[]pattern
	}{{include, &f.include}, {exclude, &f.exclude}} {
		for _, text := range list.texts {
			p, err := newPattern(text)
			if err != nil {
				return Filter{}, err
			}
			*list.patterns = append(*list.patterns, p)
		}
	}
	if f.nothingLeft() {
		return Filter{}, fmt.Errorf("the excluded resource types %s leave nothing of the included ones, want at least one type to be left",
			strings.Join(exclude, ","))
	}
	return f, nil
}

// Match tells whether the type is to be watched.
func (f Filter) Match(t Type) bool {
	names := namesOf(t, f.shortNamesOf(t)...)
	return (len(f.include) == 0 || anyMatches(f.include, names)) && !anyMatches(f.exclude, names)
}

// Unknown returns the patterns, as they were written, that name none of the served types. Most likely they are
// misspelled, or their types are not installed. The [DefaultExcludes] are never among them. The order is that of
// the configuration, includes first, and no pattern is returned twice.
func (f Filter) Unknown(served []Type) []string {
	names := make([][]string, len(served))
	for i, t := range served {
		names[i] = namesOf(t, f.shortNamesOf(t)...)
	}
	defaults := DefaultExcludes()
	var unknown []string
	for _, p := range slices.Concat(f.include, f.exclude) {
		if slices.Contains(defaults, p.glob) || slices.Contains(unknown, p.text) {
			continue
		}
		if !slices.ContainsFunc(names, p.matches) {
			unknown = append(unknown, p.text)
		}
	}
	return unknown
}

// String describes the filter as it was configured.
func (f Filter) String() string {
	return "include=" + joinPatterns(f.include) + " exclude=" + joinPatterns(f.exclude)
}

// nothingLeft tells whether every include is covered by one exclude. It does not notice excludes that cover an
// include only together: that depends on the types that are served.
func (f Filter) nothingLeft() bool {
	include := f.include
	if len(include) == 0 {
		include = []pattern{{text: "*", glob: "*"}}
	}
	for _, in := range include {
		names := in.names()
		if !slices.ContainsFunc(f.exclude, func(out pattern) bool { return out.matches(names) }) {
			return false
		}
	}
	return true
}

// pattern is one entry of a filter.
type pattern struct {
	text string // as it was written
	glob string // in lower case
}

var (
	patternChars = regexp.MustCompile(`^[a-z0-9*-]+(\.[a-z0-9*-]+)*$`)
	versionLike  = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
)

func newPattern(text string) (pattern, error) {
	text = strings.TrimSpace(text)
	glob := strings.ToLower(text)
	if !patternChars.MatchString(glob) {
		return pattern{}, fmt.Errorf("resource type %q is malformed, want a name such as deployments, deployments.apps or deployments.v1.apps, or a glob such as *.example.com", text)
	}
	return pattern{text: text, glob: glob}, nil
}

// matches tells whether the pattern fits one of the names. path.Match does the work. It sees slashes in the place
// of dots in both texts, so that a * ends at a dot.
func (p pattern) matches(names []string) bool {
	glob := strings.ReplaceAll(p.glob, ".", "/")
	return slices.ContainsFunc(names, func(name string) bool {
		ok, err := path.Match(glob, strings.ReplaceAll(name, ".", "/"))
		return err == nil && ok
	})
}

// names returns the names that every type surely has which the pattern matches. They keep the stars of the pattern.
// A pattern that matches one of them covers this one, since a star matches a star. (No group begins with a text
// that looks like a version.)
func (p pattern) names() []string {
	first, rest, qualified := strings.Cut(p.glob, ".")
	if !qualified {
		return []string{first}
	}
	version, group, _ := strings.Cut(rest, ".")
	if !versionLike.MatchString(version) {
		return []string{first, p.glob}
	}
	return namesOf(Type{Group: group, Version: version, Resource: first, Kind: first})
}

// namesOf returns all names of the type that a pattern may use, in lower case.
func namesOf(t Type, shorts ...string) []string {
	group := t.Group
	if group == "" {
		group = "core"
	}
	names := make([]string, 0, 8)
	for _, short := range append([]string{t.Resource, t.Kind}, shorts...) {
		names = append(names, short, short+"."+group, short+"."+t.Version+"."+group)
		if t.Group == "" {
			names = append(names, short+"."+t.Version)
		}
	}
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	return names
}

func anyMatches(patterns []pattern, names []string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(names) })
}

func joinPatterns(patterns []pattern) string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.text
	}
	return strings.Join(texts, ",")
}
