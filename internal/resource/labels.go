package resource

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// LabelFilter decides which labels are kept. Its zero value keeps all of them.
type LabelFilter struct {
	include, exclude []string
}

// NewLabelFilter keeps labels whose key matches one of include, all labels when include is empty, and none of
// exclude. A pattern is an exact key or a glob in which * stands for any characters but a slash, and ? for
// one: "app", "app.kubernetes.io/*".
func NewLabelFilter(include, exclude []string) (LabelFilter, error) {
	include, exclude = slices.Clone(include), slices.Clone(exclude) // the caller may change its slices later
	for _, p := range slices.Concat(include, exclude) {
		if _, err := path.Match(p, ""); p == "" || err != nil {
			return LabelFilter{}, fmt.Errorf("label pattern %q is malformed, want a key such as app or a glob such as app.kubernetes.io/*", p)
		}
	}
	return LabelFilter{include: include, exclude: exclude}, nil
}

// DefaultLabelExcludes are labels that are known to be clocks: their value is the time of the last look. NVIDIA's GPU
// Feature Discovery looks once a minute (nvidia.com/gfd.timestamp), and so do programs that are modelled on it
// (amd.com/gfd.timestamp, habana.ai/hfd.timestamp, lynxi.com/afd.timestamp). Sent, each would be an embedding of
// its node a minute.
func DefaultLabelExcludes() []string { return []string{"*/?fd.timestamp"} }

// Match tells whether the label with that key is kept.
func (f LabelFilter) Match(key string) bool {
	return (len(f.include) == 0 || matchAny(f.include, key)) && !matchAny(f.exclude, key)
}

// Beyond returns the keys that f names exactly and that keep does not keep.
func (f LabelFilter) Beyond(keep LabelFilter) []string {
	var keys []string
	for _, p := range f.include {
		if !strings.ContainsAny(p, `*?[\`) && !keep.Match(p) {
			keys = append(keys, p)
		}
	}
	return keys
}

// String describes the filter as it was configured.
func (f LabelFilter) String() string {
	return "include=" + strings.Join(f.include, ",") + " exclude=" + strings.Join(f.exclude, ",")
}

// merged returns the labels that pass the filter. Extra labels replace those with the same key. If that changes
// nothing, it returns the same map.
func (f LabelFilter) merged(labels, extra map[string]string) map[string]string {
	var kept map[string]string
	for key := range labels {
		if f.Match(key) {
			continue
		}
		if kept == nil {
			kept = maps.Clone(labels)
		}
		delete(kept, key)
	}
	if kept == nil {
		kept = labels
	}
	if len(extra) == 0 {
		return kept
	}
	all := make(map[string]string, len(kept)+len(extra))
	maps.Copy(all, kept)
	maps.Copy(all, extra)
	return all
}
