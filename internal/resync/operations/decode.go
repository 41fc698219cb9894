package operations

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// decoder reads ConfigMaps. It reads an unchanged key only once.
type decoder struct {
	log logr.Logger

	mu     sync.Mutex // guards what follows
	seen   map[string]decoded
	broken map[string]string // the keys that the log has named, with their text
}

// decoded is the value of a key, a *plan, a progress or a time.Time, or the error of reading it.
type decoded struct {
	text  string
	value any
	err   error
}

// read returns the document, and never fails: it leaves out keys that it does not understand.
func (d *decoder) read(data map[string]string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := make(map[string]decoded, len(data))
	doc := &document{records: make(map[string]*record)}
	for k, text := range data {
		got, known := d.seen[k]
		if !known || got.text != text {
			got = decoded{text: text}
			got.value, got.err = decode(k, text)
		}
		seen[k] = got
		switch v := got.value.(type) {
		case *plan:
			doc.records[v.id] = &record{plan: v, runs: make(map[string]progress)}
		case time.Time:
			doc.last = v
		}
	}
	d.seen = seen
	for k, s := range seen {
		p, ok := s.value.(progress)
		if !ok {
			continue
		}
		id, member, _ := splitRunKey(k)
		if r := doc.records[id]; r != nil {
			r.runs[member] = p
		}
	}
	return doc
}

// complain names in the log the keys that the last read did not understand, each only once as long as it stays
// the same.
func (d *decoder) complain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	broken := make(map[string]string)
	for k, s := range d.seen {
		if s.err == nil {
			continue
		}
		broken[k] = s.text
		if text, ok := d.broken[k]; !ok || text != s.text {
			d.log.Error(s.err, "The record of a resync is not understood, hence ignored", "key", k)
		}
	}
	d.broken = broken
}

// decode reads the value of one key. For a key of another kind it returns nil.
func decode(k, text string) (any, error) {
	if id, ok := strings.CutPrefix(k, opPrefix); ok {
		p, err := decodePlan(id, text)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	if _, _, ok := splitRunKey(k); ok {
		p, err := decodeProgress(text)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	if k == lastKey {
		last, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("decoding when the last full resync ended: %w", err)
		}
		return last, nil
	}
	return nil, nil
}
