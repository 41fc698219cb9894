package operations

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The keys of the ConfigMap.
const (
	lastKey   = "last"
	opPrefix  = "op."
	runPrefix = "run."
)

func opKey(id string) string          { return opPrefix + id }
func runKey(id, member string) string { return runPrefix + id + "." + member }

// splitRunKey is the inverse of runKey. An ID has no dots; a member's name may have dots.
func splitRunKey(k string) (id, member string, ok bool) {
	rest, ok := strings.CutPrefix(k, runPrefix)
	if !ok {
		return "", "", false
	}
	id, member, ok = strings.Cut(rest, ".")
	return id, member, ok && id != "" && member != ""
}

const (
	// encoding is the version of the written form. A member does not understand another version, and ignores it.
	encoding = 1
	// maxParts bounds the parts that a plan may have: 300 types over 500 members have less than a tenth of it.
	maxParts = 1 << 16
	// maxMessage bounds the message of a failed part, in bytes, so that 300 of them fit.
	maxMessage = 160
)

// plan is an operation as it is written down. It is immutable.
type plan struct {
	id        string
	request   Request
	member    string
	startedAt time.Time
	members   []string
	parts     []Part  // nil once there is a result
	result    *result // nil until it is closed
}

// result is the part of an operation that is kept when the operation has ended.
type result struct {
	Status     Status            `json:"status"`
	FinishedAt time.Time         `json:"finishedAt"`
	Types      int               `json:"types"`
	TypesDone  int               `json:"typesDone"`
	Offered    int               `json:"offered"`
	Estimate   int               `json:"estimate"`
	Failures   map[string]string `json:"failures,omitempty"`
	Failed     int               `json:"failed,omitempty"`
	Shares     []Share           `json:"shares,omitempty"`
	Message    string            `json:"message,omitempty"`
	Deleted    int               `json:"deleted,omitempty"`
	Held       int               `json:"held,omitempty"`
}

type encodedPlan struct {
	Encoding  int           `json:"v"`
	Trigger   Trigger       `json:"trigger"`
	Scope     Scope         `json:"scope"`
	Label     string        `json:"label,omitempty"`
	Namespace string        `json:"namespace,omitempty"`
	Target    string        `json:"target,omitempty"`
	Force     bool          `json:"force,omitempty"`
	Member    string        `json:"member"`
	StartedAt time.Time     `json:"startedAt"`
	Members   []string      `json:"members"`
	Parts     []encodedPart `json:"parts,omitempty"`
	Result    *result       `json:"result,omitempty"`
}

// encodedPart has short names, because a plan repeats them hundreds of times.
type encodedPart struct {
	Type       string `json:"t,omitempty"`
	Kind       string `json:"k,omitempty"`
	Held       bool   `json:"h,omitempty"` // has no type
	Namespaced bool   `json:"n,omitempty"`
	From       string `json:"f,omitempty"`
	Until      string `json:"u,omitempty"`
	Member     int    `json:"m"` // index in Members
	Objects    int    `json:"o,omitempty"`
}

func (p *plan) encode() (string, error) {
	e := encodedPlan{
		Encoding: encoding, Trigger: p.request.Trigger, Scope: p.request.Scope, Label: p.request.Label, Namespace: p.request.Namespace,
		Target: p.request.Target, Force: p.request.Force, Member: p.member, StartedAt: p.startedAt.UTC(), Members: p.members, Result: p.result,
	}
	for _, part := range p.parts {
		if part.Held {
			e.Parts = append(e.Parts, encodedPart{Held: true, Member: slices.Index(p.members, part.Member)})
			continue
		}
		e.Parts = append(e.Parts, encodedPart{
			Type: part.Type.String(), Kind: part.Type.Kind, Namespaced: part.Type.Namespaced, From: part.From, Until: part.Until,
			Member: slices.Index(p.members, part.Member), Objects: part.Objects,
		})
	}
	return marshal(e)
}

func marshal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding an operation: %w", err)
	}
	return string(b), nil
}

// decodePlan reads the text that encode wrote. For any other text, it returns an error or a plan that can be run.
func decodePlan(id, text string) (*plan, error) {
	var e encodedPlan
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return nil, fmt.Errorf("decoding an operation: %w", err)
	}
	switch {
	case e.Encoding != encoding:
		return nil, fmt.Errorf("operation is written in version %d, want %d", e.Encoding, encoding)
	case id == "" || strings.Contains(id, ".") || e.Member == "" || len(e.Members) == 0 || slices.Contains(e.Members, ""):
		return nil, errors.New("operation names no ID, no member that was asked, or no members")
	case e.StartedAt.IsZero():
		return nil, errors.New("operation has no beginning")
	case e.Scope != Fleet && e.Scope != Replica:
		return nil, fmt.Errorf("operation has scope %q, want %s or %s", e.Scope, Fleet, Replica)
	case len(e.Parts) > maxParts:
		return nil, fmt.Errorf("operation has %d parts, want at most %d", len(e.Parts), maxParts)
	case e.Result != nil && e.Result.Status != Done && e.Result.Status != Failed:
		return nil, fmt.Errorf("operation ended with status %q, want %s or %s", e.Result.Status, Done, Failed)
	}
	p := &plan{
		id: id, member: e.Member, startedAt: e.StartedAt, members: e.Members, result: e.Result,
		request: Request{Namespace: e.Namespace, Label: e.Label, Target: e.Target, Scope: e.Scope, Force: e.Force, Trigger: e.Trigger},
	}
	if p.result != nil {
		return p, nil
	}
	for i, part := range e.Parts {
		if err := p.add(part); err != nil {
			return nil, fmt.Errorf("part %d of the operation: %w", i, err)
		}
	}
	slices.SortFunc(p.request.Types, resource.CompareTypes)
	p.request.Types = slices.Compact(p.request.Types)
	return p, nil
}

// add adds a part from its written form.
func (p *plan) add(part encodedPart) error {
	if part.Member < 0 || part.Member >= len(p.members) || part.Objects < 0 || (part.Until != "" && part.Until <= part.From) {
		return errors.New("it has an assignee, a count or a range that makes no sense")
	}
	owned := p.request.Scope == Replica
	if part.Held {
		p.parts = append(p.parts, planHeld(p.members[part.Member:part.Member+1], owned)...)
		return nil
	}
	t, err := parseType(part)
	if err != nil {
		return err
	}
	p.parts = append(p.parts, Part{
		Key: key(t, part.From, part.Until), Type: t, From: part.From, Until: part.Until, Member: p.members[part.Member],
		Objects: part.Objects, OwnedOnly: owned,
	})
	p.request.Types = append(p.request.Types, t)
	return nil
}

// parseType reads the name of a type as [resource.Type.String] spells it.
func parseType(p encodedPart) (resource.Type, error) {
	t, ok := resource.ParseType(p.Type)
	if !ok || p.Kind == "" || t.Within != "" && !p.Namespaced {
		return resource.Type{}, fmt.Errorf("type %q of kind %q is not understood, want a name such as deployments.v1.apps and a kind", p.Type, p.Kind)
	}
	t.Kind, t.Namespaced = p.Kind, p.Namespaced
	return t, nil
}

// progress is one member's progress in an operation. A decoded progress is immutable.
type progress struct {
	done    map[int]bool   // by index of the part; failed ones, too
	failed  map[int]string // messages
	offered int            // objects of the parts that are done
	repair  Repair         // of the parts that are done
	current *current       // nil: none is under way
	at      time.Time      // of the last mark
}

// current is a part under way.
type current struct {
	Part    int `json:"part"`
	Offered int `json:"offered"`
	Open    int `json:"open"`
}

type encodedProgress struct {
	Encoding int            `json:"v"`
	Done     string         `json:"done,omitempty"` // such as 0-41,57
	Offered  int            `json:"offered"`
	Deleted  int            `json:"deleted,omitempty"`
	Held     int            `json:"held,omitempty"`
	Failed   map[int]string `json:"failed,omitempty"`
	Current  *current       `json:"running,omitempty"`
	At       time.Time      `json:"at"`
}

func (p progress) encode() (string, error) {
	return marshal(encodedProgress{
		Encoding: encoding, Done: formatMarks(p.done), Offered: p.offered, Deleted: p.repair.Deleted, Held: p.repair.Held,
		Failed: p.failed, Current: p.current, At: p.at.UTC(),
	})
}

// decodeProgress reads the text that encode wrote. The caller ignores parts that the plan does not have.
func decodeProgress(text string) (progress, error) {
	var e encodedProgress
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return progress{}, fmt.Errorf("decoding the progress of an operation: %w", err)
	}
	if e.Encoding != encoding {
		return progress{}, fmt.Errorf("progress is written in version %d, want %d", e.Encoding, encoding)
	}
	done, err := parseMarks(e.Done)
	if err != nil {
		return progress{}, err
	}
	if e.Offered < 0 || e.Deleted < 0 || e.Held < 0 || (e.Current != nil && (e.Current.Part < 0 || e.Current.Offered < 0 || e.Current.Open < 0)) {
		return progress{}, errors.New("progress has a negative count")
	}
	return progress{
		done: done, failed: e.Failed, offered: e.Offered, repair: Repair{Deleted: e.Deleted, Held: e.Held}, current: e.Current, at: e.At,
	}, nil
}

// formatMarks writes a set of small numbers as ranges: 0-41,57.
func formatMarks(marks map[int]bool) string {
	var b strings.Builder
	sorted := slices.Sorted(maps.Keys(marks))
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(sorted[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(sorted[j]))
		}
		i = j + 1
	}
	return b.String()
}

// parseMarks is the inverse of formatMarks.
func parseMarks(s string) (map[int]bool, error) {
	marks := make(map[int]bool)
	if s == "" {
		return marks, nil
	}
	for field := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(field, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= maxParts {
			return nil, fmt.Errorf("parts that are done are %.40q, want ranges such as 0-41,57", s)
		}
		for i := first; i <= last; i++ {
			marks[i] = true
		}
	}
	return marks, nil
}

// shorten cuts a message to the length that is kept, at the boundary of a character.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// document is the content of the ConfigMap. It is immutable.
type document struct {
	records map[string]*record // by ID
	last    time.Time          // zero: not there
}

// record is an operation with the progress of the members. It is immutable.
type record struct {
	*plan
	runs map[string]progress // by member
}

// newest returns the operations, newest first.
func (d *document) newest() []*record {
	return slices.SortedFunc(maps.Values(d.records), func(a, b *record) int {
		return cmp.Or(b.startedAt.Compare(a.startedAt), strings.Compare(b.id, a.id))
	})
}
