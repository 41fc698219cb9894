package replay

import (
	"maps"
	"net/http"
	"sync"
)

// Traffic counts requests to a [Server], and the bytes of its answers.
type Traffic struct {
	Requests int
	Bytes    int // of the bodies of all answers, watches included
}

// counts is the traffic so far, by verb and resource.
type counts struct {
	mu  sync.Mutex // guards the counts
	all map[string]Traffic
}

// Traffic returns the traffic so far, by verb and resource, such as "PUT leases" and "watch configmaps". It does not
// count recorded documents, mainly discovery, nor reviews of rights.
func (s *Server) Traffic() map[string]Traffic {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	return maps.Clone(s.traffic.all)
}

// counting counts a request, and returns a writer that counts the bytes of the answer.
func (c *counts) counting(w http.ResponseWriter, r *http.Request, t *target) http.ResponseWriter {
	verb := r.Method
	if r.URL.Query().Has("watch") {
		verb = "watch"
	}
	cw := &countingWriter{ResponseWriter: w, counts: c, key: verb + " " + t.collection.typ.Resource}
	c.add(cw.key, Traffic{Requests: 1})
	return cw
}

func (c *counts) add(key string, t Traffic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[string]Traffic)
	}
	sum := c.all[key]
	sum.Requests += t.Requests
	sum.Bytes += t.Bytes
	c.all[key] = sum
}

// countingWriter counts the bytes that are written.
type countingWriter struct {
	http.ResponseWriter
	counts *counts
	key    string
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.counts.add(w.key, Traffic{Bytes: n})
	return n, err
}

// Unwrap lets http.ResponseController reach Flush.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
