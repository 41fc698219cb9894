package receiver

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search/query"
)

// Hit is one document that a search found.
type Hit struct {
	Document Document
	// Score is only comparable within one search.
	Score float64
}

const (
	// searchCandidates is how many documents the index proposes; the ranking looks at each of them.
	searchCandidates = 400
	searchMaxWords   = 12
	searchMaxLimit   = 200
	// synonymWorth is the weight of a synonym compared with the word itself.
	synonymWorth = 0.7
)

// Query says what to search for.
type Query struct {
	// Text is a question or words.
	Text string
	// Store, Namespace and Kind limit the search; empty is any. A kind may be a plural, or one of kubectl's
	// short names.
	Store, Namespace, Kind string
	// Limit is the most hits to return; outside 1 to 200 it is 20.
	Limit int
}

// Result is the outcome of a search.
type Result struct {
	Hits []Hit
	// Meaning tells that the hits are ranked by meaning, too, and not by words alone.
	Meaning bool
}

// Find finds documents of both contracts by words: English stems, names taken apart, and synonyms of infrastructure
// words. If an embedder answers, it also finds them by meaning. It blocks until the index of words has caught up
// with all changes made before the call, and for two seconds at most for the embedder.
func (s *Server) Find(ctx context.Context, q Query) (Result, error) {
	if q.Limit < 1 || q.Limit > searchMaxLimit {
		q.Limit = 20
	}
	return s.search.find(ctx, q)
}

// Search is [Server.Find] with a limit, for documents of one store, or of both if store is empty.
func (s *Server) Search(ctx context.Context, q, store string, limit int) ([]Hit, error) {
	r, err := s.Find(ctx, Query{Text: q, Store: store, Limit: limit})
	return r.Hits, err
}

// concept is one word of a query with all terms that may stand for it, stemmed.
type concept struct {
	word   string
	worth  map[string]float64 // term → 1 or synonymWorth
	rarity float64
}

func (x *searcher) find(ctx context.Context, q Query) (Result, error) {
	if err := x.flush(); err != nil {
		return Result{}, err
	}
	f := newFilter(q)
	concepts := x.understand(q.Text)
	words, err := x.byWords(ctx, &concepts, f)
	if err != nil {
		return Result{}, err
	}
	var near []Hit
	if x.meaning != nil && strings.TrimSpace(q.Text) != "" {
		near = x.meaning.nearest(ctx, q.Text, f, concepts, x)
	}
	hits := words
	if len(near) > 0 {
		hits = fuse(words, near)
	}
	return Result{Hits: hits[:min(q.Limit, len(hits))], Meaning: len(near) > 0}, nil
}

// byWords ranks documents that have any of the concepts.
func (x *searcher) byWords(ctx context.Context, concepts *[]concept, f filter) ([]Hit, error) {
	if len(*concepts) == 0 {
		return nil, nil
	}
	found, err := x.candidates(ctx, concepts, f)
	if err != nil {
		return nil, err
	}
	hits := make([]Hit, 0, len(found))
	for key := range found {
		k := parseIndexKey(key)
		if d, held := x.docs.get(k.store, k.id); held {
			if score := x.score(d, *concepts); score > 0 {
				hits = append(hits, Hit{d, math.Round(score*1000) / 1000})
			}
		}
	}
	rank(hits)
	return hits, nil
}

// terms are the stems of a text, as the index has them.
func (x *searcher) terms(text string) []string {
	tokens := x.analyzer.Analyze([]byte(text))
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = string(t.Term)
	}
	return out
}

// understand finds the words that matter. Words of asking ("show me all") never matter, and words like "namespace"
// do only if no other word is left.
func (x *searcher) understand(q string) []concept {
	var strong, weak []concept
	seen := map[string]bool{}
	for word := range strings.FieldsSeq(strings.ToLower(spreadQuery(q))) {
		terms := x.terms(word)
		if askingWords[word] || len(terms) == 0 || seen[terms[0]] || len(strong)+len(weak) == searchMaxWords {
			continue
		}
		seen[terms[0]] = true
		c := concept{word: word, worth: map[string]float64{}}
		for _, synonym := range synonymsOf(word) {
			for _, t := range x.terms(synonym) {
				c.worth[t] = synonymWorth
			}
		}
		c.worth[terms[0]] = 1
		if vagueWords[word] {
			weak = append(weak, c)
		} else {
			strong = append(strong, c)
		}
	}
	if len(strong) == 0 {
		return weak
	}
	return strong
}

// spreadQuery takes a query apart at characters within its words, but keeps camel case as one word: the index has
// both.
func spreadQuery(q string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_./:,;?!\"'()[]{}", r) {
			return ' '
		}
		return r
	}, q)
}

// candidates asks the index for documents with all concepts and for documents with any. It drops concepts that
// occur nowhere from the list: they can neither help nor hurt.
func (x *searcher) candidates(ctx context.Context, concepts *[]concept, f filter) (map[string]struct{}, error) {
	x.drain.Lock() // keeps the index from being closed meanwhile
	defer x.drain.Unlock()
	if err := x.open(); err != nil {
		return nil, err
	}
	total, err := x.index.DocCount()
	if err != nil {
		return nil, fmt.Errorf("counting indexed documents: %w", err)
	}
	found := map[string]struct{}{}
	var known []concept
	var queries []query.Query
	for _, c := range *concepts {
		q := f.within(conceptQuery(c))
		n, err := x.collect(ctx, q, found)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		c.rarity = math.Log(1 + float64(total)/float64(n))
		known = append(known, c)
		queries = append(queries, q)
	}
	*concepts = known
	if len(queries) > 1 {
		if _, err := x.collect(ctx, bleve.NewConjunctionQuery(queries...), found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// collect adds the best hits of a query and returns how many there are in all.
func (x *searcher) collect(ctx context.Context, q query.Query, into map[string]struct{}) (uint64, error) {
	result, err := x.index.SearchInContext(ctx, bleve.NewSearchRequestOptions(q, searchCandidates, 0, false))
	if err != nil {
		return 0, fmt.Errorf("searching index: %w", err)
	}
	for _, h := range result.Hits {
		into[h.ID] = struct{}{}
	}
	return result.Total, nil
}

func conceptQuery(c concept) query.Query {
	var terms []query.Query
	for term, worth := range c.worth {
		for _, f := range searchFields {
			t := bleve.NewTermQuery(term)
			t.SetField(f.name)
			t.SetBoost(f.weight * worth)
			terms = append(terms, t)
		}
	}
	return bleve.NewDisjunctionQuery(terms...)
}

// score ranks one candidate. For each concept it takes the best place of a match, weighed by how rare the concept
// is. Then it weighs how often people ask for this kind of object. It does not use the index's own score, which
// divides by the number of synonyms.
func (x *searcher) score(d Document, concepts []concept) float64 {
	sum := 0.0
	kindAsked := false
	fields := make([][]string, len(searchFields))
	for i, f := range searchFields {
		fields[i] = x.terms(f.text(d))
	}
	for _, c := range concepts {
		best := 0.0
		for i, f := range searchFields {
			worth := 0.0
			for _, t := range fields[i] {
				worth = max(worth, c.worth[t])
			}
			if f.name == "kind" && worth == 1 {
				kindAsked = true
			}
			// A concept in several places is a little more certain than one in the best of them alone.
			best = max(best, worth*f.weight) + 0.1*min(best, worth*f.weight)
		}
		sum += best * c.rarity
	}
	if kindAsked {
		return sum
	}
	return sum * kindWorth(d)
}

// kindWorth is how likely people mean a kind that they do not name: running things come before their belongings.
func kindWorth(d Document) float64 {
	switch d.Kind {
	case "StatefulSet", "Deployment", "DaemonSet", "CronJob":
		return 1
	case "Service", "Ingress", "Job":
		return 0.65
	case "Pod", "PersistentVolumeClaim":
		return 0.55
	case "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ReplicaSet",
		"PodDisruptionBudget", "NetworkPolicy", "CustomResourceDefinition", "PersistentVolume", "APIService":
		return 0.45
	case "Event", "EndpointSlice", "Endpoints", "Lease", "ControllerRevision", "PodMetrics":
		return 0.25
	}
	if g := groupOf(d.APIVersion); strings.Contains(g, ".") && !strings.HasSuffix(g, ".k8s.io") {
		return 1 // people make custom resources on purpose: a Cluster of postgresql.cnpg.io is a database
	}
	return 0.6
}
