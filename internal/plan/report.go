package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Report lists what a process would send. It is ordered, so that two plans of one state are equal.
type Report struct {
	// Receivers has one entry for each receiver, that of the environment first.
	Receivers []ReceiverReport `json:"receivers"`
	// LeftOutTypes are served and not read, because the settings exclude them or another type holds the same objects.
	LeftOutTypes []string `json:"leftOutTypes"`
	// Unreadable are types and groups about which the plan knows nothing.
	Unreadable []Unreadable `json:"unreadable"`
	// Unknown are words of the settings that name no served type.
	Unknown []string `json:"unknown"`
	// WatchedSeconds is for how long the plan watched for changes; 0 when it did not.
	WatchedSeconds float64 `json:"watchedSeconds"`
	// Unwatched are types whose changes could not be watched for, or not to the end, and why.
	Unwatched []Unreadable `json:"unwatched"`
	// Settings are the settings in force that decide what is sent.
	Settings map[string]string `json:"settings"`
}

// ReceiverReport is what one receiver would get. The first sync costs an embedding for each object.
type ReceiverReport struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	// Problem is why the plan knows nothing of the receiver, empty where all is well.
	Problem string `json:"problem,omitempty"`
	// Objects is how many upserts the first sync makes, and Bytes their length in bodies. Each body adds some 30 bytes
	// to that.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// PerDay is the extrapolated cost of changes.
	PerDay     PerDay            `json:"perDay"`
	Types      []TypeReport      `json:"types"`
	Namespaces []NamespaceReport `json:"namespaces"`
	// LeftOut counts the objects that are read and not sent, by the first reason that holds.
	LeftOut []LeftOut `json:"leftOut"`
	// Restless are the objects that would cost most, [MaxRestless] of them.
	Restless []Restless `json:"restless"`
}

// PerDay is the cost that was seen while watching, extrapolated to a day.
type PerDay struct {
	Embeddings int64 `json:"embeddings"`
	Changes    int64 `json:"changes"`
	Deletes    int64 `json:"deletes"`
}

// TypeReport lists what is sent of one type.
type TypeReport struct {
	Resource string `json:"resource"`
	Kind     string `json:"kind"`
	Objects  int    `json:"objects"`
	Bytes    int64  `json:"bytes"`
	LeftOut  int    `json:"leftOut"`
	// Namespaces counts the objects of each namespace; [resource.ClusterNamespace] stands for objects without one.
	Namespaces map[string]int `json:"namespaces"`
	PerDay     PerDay         `json:"perDay"`
}

// NamespaceReport lists what is sent of one namespace.
type NamespaceReport struct {
	Namespace string `json:"namespace"`
	Objects   int    `json:"objects"`
	Bytes     int64  `json:"bytes"`
}

// LeftOut counts the objects that are not sent for one reason.
type LeftOut struct {
	Reason  string `json:"reason"`
	Objects int    `json:"objects"`
}

// These are the reasons to leave an object out beside those of [resource.Exclusion].
const (
	byType      = "type"
	byNamespace = "namespace"
)

// Restless is one object that changes.
type Restless struct {
	ID string `json:"id"`
	// Changes and Embeddings were seen while watching, and EmbeddingsPerDay is extrapolated from them.
	Changes          int   `json:"changes"`
	Embeddings       int   `json:"embeddings"`
	EmbeddingsPerDay int64 `json:"embeddingsPerDay"`
	// Causes are the labels and annotations that changed, the most frequent first.
	Causes []string `json:"causes"`
}

// Unreadable is a type, or a group/version, and why it cannot be read.
type Unreadable struct {
	Resource string `json:"resource"`
	Reason   string `json:"reason"`
	Error    string `json:"error"`
}

// MaxRestless bounds [ReceiverReport.Restless].
const MaxRestless = 20

// perDay extrapolates a count from the time that was observed.
func perDay(n int, observed time.Duration) int64 {
	if observed <= 0 {
		return 0
	}
	return int64(float64(n)*float64(24*time.Hour)/float64(observed) + 0.5)
}

// add sums up two reports; each unit has been watched for a time of its own.
func (p *PerDay) add(o PerDay) {
	p.Embeddings += o.Embeddings
	p.Changes += o.Changes
	p.Deletes += o.Deletes
}

// report returns the changes that a tracker has seen.
func (k *tracker) report(observed time.Duration) (all PerDay, worst []Restless) {
	embeddings, seen := 0, 0
	for _, c := range k.restless {
		embeddings += c.embeddings
		seen += c.seen
		worst = append(worst, Restless{
			ID: string(c.id), Changes: c.seen, Embeddings: c.embeddings, EmbeddingsPerDay: perDay(c.embeddings, observed), Causes: c.sorted(),
		})
	}
	return PerDay{perDay(embeddings, observed), perDay(seen, observed), perDay(k.deletes, observed)}, worstOf(worst)
}

func (c *changes) sorted() []string {
	return slices.SortedFunc(maps.Keys(c.causes), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.causes[b], c.causes[a]), cmp.Compare(a, b))
	})
}

// worstOf orders objects by their cost, and keeps the first.
func worstOf(all []Restless) []Restless {
	slices.SortFunc(all, func(a, b Restless) int {
		return cmp.Or(cmp.Compare(b.EmbeddingsPerDay, a.EmbeddingsPerDay), cmp.Compare(b.Changes, a.Changes), cmp.Compare(a.ID, b.ID))
	})
	return all[:min(len(all), MaxRestless)]
}

// summary adds up the tallies of one receiver.
type summary struct {
	types      map[resource.Type]*TypeReport
	namespaces map[string]*NamespaceReport
	leftOut    map[string]int
	r          ReceiverReport
}

func newSummary(r Receiver) *summary {
	return &summary{
		types: make(map[resource.Type]*TypeReport), namespaces: make(map[string]*NamespaceReport), leftOut: make(map[string]int),
		r: ReceiverReport{Name: r.Name, Format: r.Format.Name()},
	}
}

// add adds the counts of one type, or of one type in one namespace.
func (s *summary) add(t resource.Type, c *tally, observed time.Duration) {
	tr := s.types[t]
	if tr == nil {
		tr = &TypeReport{Resource: t.String(), Kind: t.Kind, Namespaces: make(map[string]int)}
		s.types[t] = tr
	}
	for namespace, n := range c.namespaces {
		if s.namespaces[namespace] == nil {
			s.namespaces[namespace] = &NamespaceReport{Namespace: namespace}
		}
		s.namespaces[namespace].Objects += n.objects
		s.namespaces[namespace].Bytes += n.bytes
		tr.Namespaces[namespace] += n.objects
		tr.Objects += n.objects
		tr.Bytes += n.bytes
	}
	for reason, n := range c.leftOut {
		s.leftOut[reason] += n
		tr.LeftOut += n
	}
	day, worst := c.changes.report(observed)
	tr.PerDay.add(day)
	s.r.PerDay.add(day)
	s.r.Restless = append(s.r.Restless, worst...)
}

// report returns the sums, in order.
func (s *summary) report() ReceiverReport {
	r := s.r
	r.Types, r.Namespaces, r.LeftOut = []TypeReport{}, []NamespaceReport{}, []LeftOut{}
	for _, t := range slices.SortedFunc(maps.Keys(s.types), resource.CompareTypes) {
		r.Types = append(r.Types, *s.types[t])
		r.Objects += s.types[t].Objects
		r.Bytes += s.types[t].Bytes
	}
	for _, namespace := range slices.Sorted(maps.Keys(s.namespaces)) {
		r.Namespaces = append(r.Namespaces, *s.namespaces[namespace])
	}
	for _, reason := range slices.Sorted(maps.Keys(s.leftOut)) {
		r.LeftOut = append(r.LeftOut, LeftOut{reason, s.leftOut[reason]})
	}
	r.Restless = append([]Restless{}, worstOf(r.Restless)...)
	return r
}
