package receiver

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// SetCompactFloor lets a test compact logs of a few kilobytes.
func SetCompactFloor(t *testing.T, bytes int64) {
	old := compactFloor
	compactFloor = bytes
	t.Cleanup(func() { compactFloor = old })
}

// ParseBodies reads a body as both contracts do, for the fuzzer.
func ParseBodies(body []byte) (instances, resources []Document, statuses [2]int) {
	for i, c := range []contract{instancesContract{}, resourcesContract{}} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", "application/json")
		p, bad := c.parse(r, body)
		if bad != nil {
			statuses[i] = bad.status
			continue
		}
		if i == 0 {
			instances = p.upserts
		} else {
			resources = p.upserts
		}
	}
	return instances, resources, statuses
}

// RoundTrip packs and unpacks a document.
func RoundTrip(d Document) (Document, error) {
	p, err := pack(d)
	if err != nil {
		return Document{}, err
	}
	return p.unpack()
}

// Glob is the matching of patterns in rules.
var Glob = glob

// Spread is how identifiers are taken apart.
var Spread = spread
