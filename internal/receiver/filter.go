package receiver

import (
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search/query"
)

// filter limits a search to some documents. The zero value lets all pass.
type filter struct {
	store, namespace string // in lower case, empty for any
	kinds            []string
}

// shortKinds are kubectl's short names of kinds beyond those that people also write in a question ([aliases]).
var shortKinds = map[string]string{
	"cj": "cronjob", "cs": "componentstatus", "csr": "certificatesigningrequest", "ep": "endpoints", "ev": "event", "gw": "gateway",
	"limits": "limitrange", "no": "node", "pc": "priorityclass", "po": "pod", "quota": "resourcequota", "rc": "replicationcontroller",
	"rs": "replicaset", "sc": "storageclass", "vpa": "verticalpodautoscaler",
}

// newFilter reads a kind as people write it: deployment, Deployments, deploy, deployments.apps.
func newFilter(q Query) filter {
	f := filter{store: q.Store, namespace: strings.ToLower(q.Namespace)}
	kind, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(q.Kind)), ".")
	if kind == "" {
		return f
	}
	f.kinds = append(f.kinds, kind)
	f.kinds = append(f.kinds, aliases[kind]...)
	if long, short := shortKinds[kind]; short {
		f.kinds = append(f.kinds, long)
	}
	if single, plural := strings.CutSuffix(kind, "ies"); plural {
		f.kinds = append(f.kinds, single+"y")
	}
	for _, ending := range []string{"es", "s"} {
		if single, plural := strings.CutSuffix(kind, ending); plural {
			f.kinds = append(f.kinds, single)
			f.kinds = append(f.kinds, aliases[single]...)
		}
	}
	return f
}

// any tells whether the filter lets every document of the store pass.
func (f filter) any() bool { return f.namespace == "" && len(f.kinds) == 0 }

func (f filter) accepts(d Document) bool {
	return (f.namespace == "" || strings.EqualFold(d.Namespace, f.namespace)) &&
		(len(f.kinds) == 0 || slices.Contains(f.kinds, strings.ToLower(d.Kind)))
}

// within limits a query of the index.
func (f filter) within(q query.Query) query.Query {
	all := []query.Query{q}
	if f.store != "" {
		all = append(all, exactly(storeField, f.store))
	}
	if f.namespace != "" {
		all = append(all, exactly(namespaceField, f.namespace))
	}
	if len(f.kinds) > 0 {
		var kinds []query.Query
		for _, k := range f.kinds {
			kinds = append(kinds, exactly(kindField, k))
		}
		all = append(all, bleve.NewDisjunctionQuery(kinds...))
	}
	if len(all) == 1 {
		return q
	}
	return bleve.NewConjunctionQuery(all...)
}

// exactly matches a field that is indexed as a whole, and adds nothing to the score.
func exactly(field, value string) query.Query {
	t := bleve.NewTermQuery(value)
	t.SetField(field)
	t.SetBoost(0)
	return t
}
