package receiver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// adminMaxBytes bounds a body of rules.
const adminMaxBytes = 1 << 20

// routes are the endpoints that no real receiver has.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /search", s.serveSearch)
	mux.Handle("/mcp", s.mcpHandler())
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		jsonAnswer(http.StatusOK, s.Status()).write(w)
	})
	if !s.opts.Admin {
		return mux
	}
	mux.HandleFunc("GET /admin/requests", s.serveRequests)
	mux.HandleFunc("DELETE /admin/requests", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetRequests()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /admin/documents", s.serveDocuments)
	mux.HandleFunc("DELETE /admin/documents", s.serveClear)
	mux.HandleFunc("GET /admin/overlaps", func(w http.ResponseWriter, _ *http.Request) { ndjson(w, s.Overlaps()) })
	mux.HandleFunc("GET /admin/stats", func(w http.ResponseWriter, _ *http.Request) {
		jsonAnswer(http.StatusOK, s.Stats()).write(w)
	})
	mux.HandleFunc("POST /admin/faults", s.serveSetFaults)
	mux.HandleFunc("DELETE /admin/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /admin/release", func(w http.ResponseWriter, _ *http.Request) {
		s.Release()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func badRequest(w http.ResponseWriter, err error) {
	jsonAnswer(http.StatusBadRequest, map[string]string{"error": err.Error()}).write(w)
}

// ndjson writes one JSON value a line.
func ndjson[T any](w http.ResponseWriter, items []T) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	buffered := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buffered)
	for _, item := range items {
		if enc.Encode(item) != nil {
			return // the client has left
		}
	}
	_ = buffered.Flush() // as above
}

func (s *Server) serveRequests(w http.ResponseWriter, r *http.Request) {
	var since uint64
	if q := r.URL.Query().Get("since"); q != "" {
		var err error
		if since, err = strconv.ParseUint(q, 10, 64); err != nil {
			badRequest(w, fmt.Errorf("since is %q, want the number of a request", q))
			return
		}
	}
	ndjson(w, s.Requests(since))
}

// storeOf reads the store parameter, which defaults to [Instances].
func storeOf(r *http.Request) (string, error) {
	switch q := r.URL.Query().Get("store"); q {
	case "":
		return Instances, nil
	case Instances, Resources, Capabilities:
		return q, nil
	default:
		return "", fmt.Errorf("store is %q, want %s, %s or %s", q, Instances, Resources, Capabilities)
	}
}

func (s *Server) serveDocuments(w http.ResponseWriter, r *http.Request) {
	store, err := storeOf(r)
	if err != nil {
		badRequest(w, err)
		return
	}
	ndjson(w, s.Documents(store))
}

func (s *Server) serveClear(w http.ResponseWriter, r *http.Request) {
	store, err := storeOf(r)
	if err != nil {
		badRequest(w, err)
		return
	}
	if err := s.Clear(store); err != nil {
		jsonAnswer(http.StatusInternalServerError, map[string]string{"error": err.Error()}).write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) serveSetFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, adminMaxBytes))
	if err != nil {
		badRequest(w, err)
		return
	}
	rules, err := parseRules(body)
	if err == nil {
		err = s.SetFaults(rules...)
	}
	if err != nil {
		badRequest(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
