package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// maxSeconds bounds how long a profile may take.
const maxSeconds = 300

// Handlers returns the handlers by path.
func Handlers(s Source) map[string]http.Handler {
	h := handlers{s}
	return map[string]http.Handler{
		"/debug/objects":       get(h.object),
		"/debug/types":         get(h.types),
		"/debug/checkpoints":   get(h.checkpoints),
		"/debug/pprof/":        get(bounded(pprof.Index)),
		"/debug/pprof/profile": get(bounded(pprof.Profile)),
		"/debug/pprof/trace":   get(bounded(pprof.Trace)),
	}
}

type handlers struct{ source Source }

func (h handlers) object(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("id")
	parts, err := resource.ParseID(text)
	if err != nil {
		fail(w, http.StatusBadRequest, "parameter id: "+err.Error())
		return
	}
	answer(w, http.StatusOK, h.source.Object(parts.ID()))
}

func (h handlers) types(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	all := h.source.Types(q.Get("target"), q.Get("type"))
	if len(all) == 0 && (q.Has("target") || q.Has("type")) {
		fail(w, http.StatusNotFound, fmt.Sprintf("no type %q is watched for a target %q", q.Get("type"), q.Get("target")))
		return
	}
	answer(w, http.StatusOK, map[string]any{"types": notNil(all)})
}

func (h handlers) checkpoints(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	all := h.source.Checkpoints(q.Get("target"), q.Get("name"))
	if len(all) == 0 && (q.Has("target") || q.Has("name")) {
		fail(w, http.StatusNotFound, fmt.Sprintf("no checkpoint %q of a target %q has been seen", q.Get("name"), q.Get("target")))
		return
	}
	answer(w, http.StatusOK, map[string]any{"checkpoints": notNil(all)})
}

// notNil has an empty list written as [].
func notNil[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// get lets only GET and HEAD pass. For HEAD, net/http leaves out the body of the answer.
func get(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "want GET or HEAD")
			return
		}
		next(w, r)
	})
}

// bounded refuses profiles that take too long.
func bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text := r.URL.Query().Get("seconds")
		n, err := strconv.ParseFloat(text, 64)
		within := err == nil && n >= 0 && n <= maxSeconds // false for NaN
		if text != "" && !within {
			fail(w, http.StatusBadRequest, fmt.Sprintf("parameter seconds: want a number from 0 to %d", maxSeconds))
			return
		}
		next(w, r)
	}
}

func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]string{"status": "error", "message": message})
}

// answer writes a value of this package as JSON for people.
func answer(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil { // Every value of this package can be encoded.
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // It fails when the client has gone.
}
