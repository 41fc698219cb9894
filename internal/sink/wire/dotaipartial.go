package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// circuitPause is how long dot-ai's circuit breaker stays open: dot-ai embeds nothing in that time.
	circuitPause = 30 * time.Second
	// circuitCap bounds the pause that the text of an answer can ask for.
	circuitCap = 10 * time.Minute
	// lostPause is the interval between attempts at a dot-ai that lost its collection. Only its restart helps.
	lostPause = time.Minute
	// circuitID is the ID under which dot-ai reports the breaker itself beside the items whose failure it caused.
	circuitID = "circuit-breaker"
)

// dotAIPartial reads details such as
// {"upserted":1,"deleted":0,"failures":[{"id":"shop:v1:Pod:a","error":"..."}]}. It believes them only if they add
// up: otherwise every item counts as failed, which costs embeddings and loses nothing.
func dotAIPartial(o *Outcome, details json.RawMessage, sent Sent) {
	if sent.Len() == 0 {
		return
	}
	o.Kind = Partial
	var d struct {
		Upserted int               `json:"upserted"`
		Deleted  int               `json:"deleted"`
		Failures []json.RawMessage `json:"failures"`
	}
	sound := json.Unmarshal(details, &d) == nil
	failed, index := newFaults(sent), dotAIIDs(sent)
	lost, first := len(d.Failures) > 0, ""
	for _, raw := range d.Failures {
		var f struct{ ID, Error string }
		if json.Unmarshal(raw, &f) != nil {
			sound = false
			continue
		}
		if first == "" {
			first = f.Error
		}
		o.RetryAfter = max(o.RetryAfter, circuitOpen(f.Error))
		lost = lost && strings.Contains(f.Error, "Not Found")
		if i, known := index[f.ID]; known {
			failed.put(i, f.Error)
		} else if f.ID != circuitID {
			sound = false
		}
	}
	sound = sound && len(failed.reasons) > 0 && d.Upserted+d.Deleted == sent.Len()-len(failed.reasons)
	if !sound {
		for i := range sent.Len() {
			failed.put(i, "the answer does not tell which items failed")
		}
	}
	o.Failed = failed.sorted()
	o.Reason = fmt.Sprintf("%d of %d items failed, the first with: %s", len(o.Failed), sent.Len(), first)
	if lost && len(o.Failed) == sent.Len() {
		o.RetryAfter = max(o.RetryAfter, lostPause)
		o.Reason = "the receiver lost its collection and makes it again when it is restarted: " + first
	}
}

// dotAIIDs maps dot-ai's IDs to positions in the request.
func dotAIIDs(sent Sent) map[string]int {
	m := make(map[string]int, sent.Len())
	for i := range sent.Upserts {
		u := &sent.Upserts[i]
		m[namespaceOf(u)+":"+u.Type.APIVersion()+":"+u.Type.Kind+":"+u.Name] = i
	}
	for i, id := range sent.Deletes {
		if p, err := resource.ParseID(string(id)); err == nil {
			m[p.Namespace+":"+p.APIVersion+":"+p.Kind+":"+p.Name] = i
		}
	}
	return m
}

// circuitOpen finds the pause in "Circuit 'embedding-api' is open. Retry after 29989ms", 0 where there is none.
// dot-ai gives only this text; a wrong reading costs a pause, and no item.
func circuitOpen(text string) time.Duration {
	const words = "retry after "
	at := strings.Index(strings.ToLower(text), words)
	if at < 0 {
		return 0
	}
	rest := strings.ToLower(text)[at+len(words):]
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 || !strings.HasPrefix(rest[end:], "ms") {
		return 0
	}
	ms, err := strconv.ParseInt(rest[:end], 10, 64)
	if err != nil || ms > circuitCap.Milliseconds() {
		return circuitCap
	}
	return max(circuitPause, time.Duration(ms)*time.Millisecond)
}
