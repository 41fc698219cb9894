package receiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Duration is a [time.Duration] that JSON spells as Go does ("1.5s"), or as "forever".
type Duration time.Duration

// Forever is a duration that only a release, the end of the client or [Server.Close] ends.
const Forever Duration = -1

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) {
	if d == Forever {
		return []byte("forever"), nil
	}
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*d = Forever
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("parsing duration: %w, want for example 1.5s or forever", err)
	}
	if v < 0 {
		return fmt.Errorf("duration %s is negative, want 0 or more, or forever", v)
	}
	*d = Duration(v)
	return nil
}

// Rule says which requests go wrong, and how. Of several rules the first that matches takes effect. No rule
// concerns a request that the contract itself refuses (a broken body, no credentials).
type Rule struct {
	// Name is the name in records; empty stands for the rule's number from 1.
	Name   string `json:"name,omitempty"`
	Match  Match  `json:"match,omitzero"`
	Effect Effect `json:"effect"`
	// Count ends the rule after so many requests; 0 means never.
	Count int `json:"count,omitempty"`
	// For ends the rule so long after it was set; 0 means never.
	For Duration `json:"for,omitempty"`
}

// Match selects requests; its zero value selects all. In patterns, * stands for any text, slashes included.
type Match struct {
	// Path is a pattern of the request's path.
	Path string `json:"path,omitempty"`
	// Sender is a pattern of the record's Sender.
	Sender string `json:"sender,omitempty"`
	// Array selects payloads by their contents: "upserts", "deletes" or "nothing" (a probe); empty selects all.
	Array string `json:"array,omitempty"`
	// ID and Kind select payloads with at least one such item. ID is a pattern of document IDs, Kind is exact. Effects
	// on items (Refuse, Partial) touch only these items.
	ID   string `json:"id,omitempty"`
	Kind string `json:"kind,omitempty"`
	// Percent is the share of otherwise matching requests that are taken, drawn from Seed in their order; 0 takes all.
	Percent float64 `json:"percent,omitempty"`
	Seed    uint64  `json:"seed,omitempty"`
}

// Values of [Effect.Refuse].
const (
	RefuseWithPath    = "path"    // 400 that names each matching item
	RefuseWithoutPath = "no-path" // 400 that names none
	RefuseInternal    = "500"     // 500, as a database does that cannot store one of them
)

// Effect says what goes wrong. Fields combine in this order: Delay, Hang, Reset or Status (unless Applied), Refuse,
// ApplyLate, the application with its own failures, Reset or Status (with Applied).
type Effect struct {
	// Delay holds the request before any other step.
	Delay Duration `json:"delay,omitempty"`
	// Hang holds the request until its client leaves, or for so long, and then resets the connection. Nothing is
	// applied.
	Hang Duration `json:"hang,omitempty"`
	// ApplyLate holds the request for so long, even if its client leaves meanwhile, and then applies it. With Forever
	// it is held until [Server.Release].
	ApplyLate Duration `json:"applyLate,omitempty"`

	// Status answers with this status, RetryAfter as the header of that name, and Body.
	Status     int    `json:"status,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
	Body       string `json:"body,omitempty"`
	// Reset closes the connection with a TCP reset instead of answering.
	Reset bool `json:"reset,omitempty"`
	// Applied applies the request before Status or Reset.
	Applied bool `json:"applied,omitempty"`

	// Refuse is one of the Refuse constants; the receiver refuses the payload because of the matching items.
	Refuse string `json:"refuse,omitempty"`
	// Partial makes the store fail for the matching items with this text. dot-ai lists them in a partial failure and
	// applies the others. For cluster-whisperer, each chunk of 100 with one of them fails.
	Partial string `json:"partial,omitempty"`
	// Embedder is the status of the embedder's answers, and EmbedderDelay the time that each call takes. The real
	// dot-ai retries 429 and 5xx for 30 s for each item.
	Embedder      int      `json:"embedder,omitempty"`
	EmbedderDelay Duration `json:"embedderDelay,omitempty"`
	// TextDelay is the further time that a call of the embedder takes for each text: a large batch takes long.
	TextDelay Duration `json:"textDelay,omitempty"`
	// StoreDown makes the vector database unreachable, and CollectionLost lets its collection disappear under dot-ai.
	StoreDown      bool `json:"storeDown,omitempty"`
	CollectionLost bool `json:"collectionLost,omitempty"`
}

// validate reports all mistakes in a rule.
func (r Rule) validate() error {
	var errs []error
	if a := r.Match.Array; a != "" && a != "upserts" && a != "deletes" && a != "nothing" {
		errs = append(errs, fmt.Errorf("match.array is %q, want upserts, deletes or nothing", a))
	}
	if p := r.Match.Percent; p < 0 || p > 100 {
		errs = append(errs, fmt.Errorf("match.percent is %v, want 0 to 100", p))
	}
	e := r.Effect
	if e == (Effect{}) {
		errs = append(errs, errors.New("effect is empty, want at least one field of it"))
	}
	if s := e.Status; s != 0 && (s < 200 || s > 599) {
		errs = append(errs, fmt.Errorf("effect.status is %d, want 200 to 599", s))
	}
	if e.Refuse != "" && e.Refuse != RefuseWithPath && e.Refuse != RefuseWithoutPath && e.Refuse != RefuseInternal {
		errs = append(errs, fmt.Errorf("effect.refuse is %q, want path, no-path or 500", e.Refuse))
	}
	if (e.RetryAfter != "" || e.Body != "") && e.Status == 0 {
		errs = append(errs, errors.New("effect has retryAfter or body without status, want a status to send them with"))
	}
	if r.Count < 0 {
		errs = append(errs, fmt.Errorf("count is %d, want 0 or more", r.Count))
	}
	if e.Delay < 0 {
		errs = append(errs, errors.New("effect.delay is forever, want an end, or hang or applyLate"))
	}
	if e.TextDelay < 0 {
		errs = append(errs, errors.New("effect.textDelay is forever, want an end, or hang or applyLate"))
	}
	return errors.Join(errs...)
}

// faults are the rules in force.
type faults struct {
	mu    sync.Mutex
	rules []*liveRule
}

type liveRule struct {
	Rule
	since time.Time
	used  int
	dice  *rand.Rand
}

func (f *faults) set(rules []Rule, now time.Time) error {
	live := make([]*liveRule, len(rules))
	var errs []error
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("rule %d", i+1)
		}
		if err := r.validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Name, err))
		}
		live[i] = &liveRule{Rule: r, since: now, dice: rand.New(rand.NewPCG(r.Match.Seed, 0))}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = live
	return nil
}

// decision is the rule that takes effect on one request, and the items of the payload that it matched.
type decision struct {
	rule             string
	effect           Effect
	upserts, deletes []int
}

// subject is the part of a request that rules look at.
type subject struct {
	kind, path, sender string
	payload            payload
}

// decide finds the first rule that matches. It draws a number for each rule with a percentage that matches otherwise.
func (f *faults) decide(s subject, now time.Time) decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.Count > 0 && r.used >= r.Count || r.For > 0 && now.Sub(r.since) >= time.Duration(r.For) {
			continue
		}
		d, ok := r.matches(s)
		if !ok || r.Match.Percent > 0 && r.dice.Float64()*100 >= r.Match.Percent {
			continue
		}
		r.used++
		d.rule, d.effect = r.Name, r.Effect
		return d
	}
	return decision{}
}

func (r *liveRule) matches(s subject) (decision, bool) {
	m := r.Match
	if m.Path != "" && !glob(m.Path, s.path) || m.Sender != "" && !glob(m.Sender, s.sender) {
		return decision{}, false
	}
	p := s.payload
	switch m.Array {
	case "upserts":
		if len(p.upserts) == 0 {
			return decision{}, false
		}
	case "deletes":
		if len(p.deletes) == 0 {
			return decision{}, false
		}
	case "nothing":
		if len(p.upserts)+len(p.deletes) > 0 {
			return decision{}, false
		}
	}
	var d decision
	item := func(id, kind string) bool {
		return (m.ID == "" || glob(m.ID, id)) && (m.Kind == "" || m.Kind == kind)
	}
	for i, u := range p.upserts {
		if m.Array != "deletes" && item(u.ID, u.Kind) {
			d.upserts = append(d.upserts, i)
		}
	}
	for i, id := range p.deletes {
		if m.Array != "upserts" && item(id, kindOf(s.kind, id)) {
			d.deletes = append(d.deletes, i)
		}
	}
	if (m.ID != "" || m.Kind != "" || r.Effect.Refuse != "") && len(d.upserts)+len(d.deletes) == 0 {
		return decision{}, false
	}
	return d, true
}

// kindOf reads the Kubernetes kind out of the ID of a deleted document, as far as it is well formed.
func kindOf(contract, id string) string {
	if contract == KindResources {
		if f := strings.SplitN(id, ":", 4); len(f) == 4 {
			return f[2]
		}
		return ""
	}
	if f := strings.Split(id, "/"); len(f) >= 2 {
		return f[len(f)-2]
	}
	return ""
}

// glob matches s against a pattern in which * stands for any text.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// parseRules reads the body of POST /admin/faults: {"rules":[...]}. It refuses unknown fields, for a misspelt
// effect would quietly do nothing.
func parseRules(body []byte) ([]Rule, error) {
	var in struct {
		Rules []Rule `json:"rules"`
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	return in.Rules, nil
}
