package receiver

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

const (
	// fusionDepth is how far down a list a document still counts; fusionK reduces the weight of the first places.
	// Reciprocal rank fusion adds 1/(K+rank) over the lists, so that scores of different lists need not be comparable.
	fusionDepth = 100
	fusionK     = 20
	// A longer text is cut here: small models read some 500 words, and a text begins with the nature of its object.
	meaningTextBytes = 2000
)

// meaningText is the text of a document that is embedded, and its hash. Equal contents have equal texts.
func meaningText(d Document) (string, uint64) {
	var b strings.Builder
	part := func(words ...string) {
		for _, w := range words {
			if w = strings.TrimSpace(w); w != "" {
				b.WriteString(w)
				b.WriteByte(' ')
			}
		}
	}
	part(d.Kind, d.Name)
	if d.Namespace != "" && d.Namespace != "_cluster" {
		part("in namespace", d.Namespace)
	}
	part(groupOf(d.APIVersion))
	part(":")
	for _, k := range slices.Sorted(maps.Keys(d.Annotations)) {
		part(d.Annotations[k], ".")
	}
	for _, k := range slices.Sorted(maps.Keys(d.Labels)) {
		if short := k[strings.LastIndexByte(k, '/')+1:]; !hashLabels[short] {
			part(short, d.Labels[k])
		}
	}
	text := b.String()
	if len(text) > meaningTextBytes {
		text = strings.ToValidUTF8(text[:meaningTextBytes], "")
	}
	return text, xxhash.Sum64String(text)
}

// nearest ranks documents by meaning. It returns nil if the question has no vector.
func (m *meaning) nearest(ctx context.Context, q string, f filter, concepts []concept, x *searcher) []Hit {
	question := m.ask(ctx, q)
	if question == nil {
		return nil
	}
	found := m.vectors.Nearest(question, 2*fusionDepth, func(key string) bool {
		k := parseIndexKey(key)
		if f.store != "" && k.store != f.store {
			return false
		}
		if f.any() {
			return true
		}
		d, held := m.docs.get(k.store, k.id)
		return held && f.accepts(d)
	})
	hits := make([]Hit, 0, len(found))
	for _, match := range found {
		k := parseIndexKey(match.Key)
		if d, held := m.docs.get(k.store, k.id); held && match.Cosine > 0 {
			hits = append(hits, Hit{d, float64(match.Cosine) * m.prior(d, concepts, x)})
		}
	}
	rank(hits)
	return hits
}

// prior prefers running things to the things that belong to them, as the ranking by words does, and much less so:
// their texts are alike.
func (m *meaning) prior(d Document, concepts []concept, x *searcher) float64 {
	for _, t := range x.terms(spread(d.Kind)) {
		for _, c := range concepts {
			if c.worth[t] == 1 {
				return 1
			}
		}
	}
	return 0.75 + 0.25*kindWorth(d)
}

// fuse makes one list of two.
func fuse(words, meaning []Hit) []Hit {
	all := map[string]Hit{}
	for _, list := range [][]Hit{words, meaning} {
		for i, h := range list[:min(fusionDepth, len(list))] {
			h.Score = all[h.Document.ID].Score + float64(fusionK+1)/float64(fusionK+1+i)
			all[h.Document.ID] = h
		}
	}
	hits := slices.Collect(maps.Values(all))
	for i := range hits {
		hits[i].Score = math.Round(hits[i].Score*1000) / 1000
	}
	rank(hits)
	return hits
}

// rank sorts the best first, and equal ones by their IDs.
func rank(hits []Hit) {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(-cmp.Compare(a.Score, b.Score), cmp.Compare(a.Document.ID, b.Document.ID))
	})
}
