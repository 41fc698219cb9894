package operations

import (
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// decoder reads ConfigMaps. It reads what has not changed only once, and names what it does not understand in the log
// only when it appears or changes.
type decoder struct {
	log logr.Logger

	mu   sync.Mutex // guards what follows
	seen map[string]decoded
}

// decoded is the value of a key: a *plan, a progress or a time.Time, nil when it is not understood.
type decoded struct {
	text  string
	value any
}

// read never fails: what is not understood is not there.
func (d *decoder) read(data map[string]string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := make(map[string]decoded, len(data))
	doc := &document{records: make(map[string]*record)}
	for k, text := range data {
		old, known := d.seen[k]
		if !known || old.text != text {
			old = decoded{text: text, value: d.decode(k, text)}
		}
		seen[k] = old
		switch v := old.value.(type) {
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

func (d *decoder) decode(k, text string) (value any) {
	var err error
	_, _, isRun := splitRunKey(k)
	id, isOp := strings.CutPrefix(k, opPrefix)
	switch {
	case isOp:
		value, err = decodePlan(id, text)
	case isRun:
		value, err = decodeProgress(text)
	case k == lastKey:
		value, err = time.Parse(time.RFC3339, text)
	default:
		return nil // Not ours.
	}
	if err != nil {
		d.log.Error(err, "What is written of a resync is not understood, hence ignored", "key", k)
		return nil
	}
	return value
}
