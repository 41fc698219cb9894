package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

const (
	// instancesMaxBytes is cluster-whisperer's limit of a body, inclusive.
	instancesMaxBytes = 5 << 20
	// instancesChunk is how many upserts cluster-whisperer embeds with one call and writes with one.
	instancesChunk = 100

	malformedJSON = "Malformed JSON in request body"
)

// jsonMedia matches the media types that cluster-whisperer's framework takes for JSON. It is case-sensitive, and a
// body of any other type is read as an empty object.
var jsonMedia = regexp.MustCompile(`^application/(?:[a-z.-]+\+)?json(?:;\s*[a-zA-Z0-9-]+=[^;]+)*$`)

// instancesContract is POST /api/v1/instances/sync of cluster-whisperer.
type instancesContract struct{ lenient bool }

func (instancesContract) kind() string { return KindInstances }

func (instancesContract) precheck(r *http.Request) *answer { return whispererPrecheck(r) }

func whispererPrecheck(r *http.Request) *answer {
	if r.Method != http.MethodPost {
		return new(textAnswer(http.StatusNotFound, "404 Not Found"))
	}
	if r.ContentLength > instancesMaxBytes {
		return new(jsonAnswer(http.StatusRequestEntityTooLarge, map[string]string{"error": "Payload too large (max 5MB)"}))
	}
	return nil
}

// whispererBody returns the body's JSON object, or an empty one for another media type. Without Content-Length, a body
// over the limit looks like a broken one: the framework reports the limit as a failure to parse.
func whispererBody(r *http.Request, body []byte, lenient bool) (object, *answer) {
	if !lenient && !jsonMedia.MatchString(r.Header.Get("Content-Type")) {
		return object{}, nil
	}
	if len(body) > instancesMaxBytes || !validJSON(body) {
		return nil, new(textAnswer(http.StatusBadRequest, malformedJSON))
	}
	raw := trimSpace(body)
	if t := typeOf(raw); t != "object" {
		return nil, new(invalidPayload([]issue{wrongType("object", t, []any{})}))
	}
	return decode[object](raw), nil
}

func (c instancesContract) parse(r *http.Request, body []byte) (payload, *answer) {
	top, bad := whispererBody(r, body, c.lenient)
	if bad != nil {
		return payload{}, bad
	}
	p, issues := parseInstances(top)
	if len(issues) > 0 {
		return payload{}, new(invalidPayload(issues))
	}
	return p, nil
}

func (instancesContract) refuse(how string, upserts, deletes []int) answer {
	switch how {
	case RefuseWithPath:
		var issues []issue
		for _, i := range upserts {
			issues = append(issues, issue{Code: "custom", Message: "Refused by a fault", Path: []any{"upserts", i, "name"}})
		}
		for _, i := range deletes {
			issues = append(issues, issue{Code: "custom", Message: "Refused by a fault", Path: []any{"deletes", i}})
		}
		return invalidPayload(issues)
	case RefuseWithoutPath:
		return jsonAnswer(http.StatusBadRequest, map[string]string{"error": "Invalid payload"})
	default:
		return whispererError("Refused by a fault")
	}
}

func whispererError(message string) answer {
	return jsonAnswer(http.StatusInternalServerError, map[string]string{"error": message})
}

// counts is cluster-whisperer's answer: the lengths of the arrays that it parsed, not rows changed.
type counts struct {
	Status   string `json:"status"`
	Upserted int    `json:"upserted"`
	Deleted  int    `json:"deleted"`
}

// apply deletes first and then writes chunk after chunk. It is not atomic: a failure leaves the earlier chunks
// written.
func (c instancesContract) apply(a *application) answer {
	p := a.payload
	if a.effect.StoreDown {
		return whispererError("Failed to connect to chromadb. Make sure your server is running and try again.")
	}
	if len(p.deletes) > 0 {
		if dup, found := duplicate(p.deletes); found && !c.lenient {
			return whispererError(fmt.Sprintf("Expected IDs to be unique, but found duplicates of: %s", dup))
		}
		if p.deleteSurrogate {
			return whispererError("Invalid string in IDs: lone surrogate")
		}
		if err := a.remove(p.deletes); err != nil {
			return whispererError(err.Error())
		}
	}
	for from := 0; from < len(p.upserts); from += instancesChunk {
		to := min(from+instancesChunk, len(p.upserts))
		if err := a.embed(to - from); err != nil {
			return whispererError(err.Error())
		}
		if err := c.writable(a, from, to); err != nil {
			return whispererError(err.Error())
		}
		if err := a.put(from, to); err != nil {
			return whispererError(err.Error())
		}
	}
	return jsonAnswer(http.StatusOK, counts{Status: "ok", Upserted: len(p.upserts), Deleted: len(p.deletes)})
}

// writable is the vector database's check of one chunk, all or nothing. Its errors are worded as clients see them.
func (c instancesContract) writable(a *application, from, to int) error {
	ids := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		d := a.payload.upserts[i]
		switch reason, failing := a.failing(i); {
		case failing:
			return errors.New(reason)
		case d.ID == "":
			return errors.New("Empty ID, ID must have at least one character")
		case a.payload.upsertSurrogate[i]:
			return errors.New("Invalid string in document: lone surrogate")
		}
		ids = append(ids, d.ID)
	}
	if dup, found := duplicate(ids); found && !c.lenient {
		return fmt.Errorf("Expected IDs to be unique, but found duplicates of: %s", dup)
	}
	return nil
}

// duplicate returns an element that occurs twice.
func duplicate(ids []string) (string, bool) {
	seen := make(map[string]struct{}, len(ids))
	i := slices.IndexFunc(ids, func(id string) bool {
		_, twice := seen[id]
		seen[id] = struct{}{}
		return twice
	})
	if i < 0 {
		return "", false
	}
	return ids[i], true
}
