package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// route is a path with the handlers of its methods.
type route struct {
	pattern string // as [http.ServeMux] reads it, without a method
	methods map[string]http.HandlerFunc
}

func (s *Server) table() []route {
	get := func(pattern string, h http.HandlerFunc) route {
		return route{pattern, map[string]http.HandlerFunc{http.MethodGet: s.read(h)}}
	}
	return []route{
		get("/{$}", s.getIndexPage),
		get("/status", s.refreshable(s.statusPage)),
		get("/ring", s.refreshable(s.ringPage)),
		{"/api/v1/resync", map[string]http.HandlerFunc{http.MethodGet: s.read(s.getResyncs), http.MethodPost: s.postResync}},
		get("/api/v1/resync/{id}", s.getResync),
		{"/api/v1/verify", map[string]http.HandlerFunc{http.MethodGet: s.read(s.getVerifications), http.MethodPost: s.postVerify}},
		get("/api/v1/verify/{id}", s.getVerification),
		get("/api/v1/status", s.getStatus),
		get("/api/v1/ring", s.getRing),
		get("/api/v1/owner", s.getOwner),
		get("/openapi.json", s.getDocument("application/json", documentJSON)),
		get("/openapi.yaml", s.getDocument("application/yaml", documentYAML)),
	}
}

// routes returns the handler of all paths, unknown ones included.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range s.table() {
		mux.Handle(rt.pattern, s.dispatch(rt))
		s.paths = append(s.paths, strings.TrimSuffix(rt.pattern, "{$}"))
		for method := range rt.methods {
			s.metrics.zero(rt.pattern, method)
		}
	}
	mux.HandleFunc(otherPath, s.notFound)
	return mux
}

// otherPath is the pattern of all paths that no other pattern matches.
const otherPath = "/"

// dispatch chooses a handler by method. HEAD is served as GET, and net/http leaves out the body of the answer.
func (s *Server) dispatch(rt route) http.Handler {
	var allow []string
	for m := range rt.methods {
		allow = append(allow, m)
		if m == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := rt.methods[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			s.writeError(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s is not allowed here, want one of %s", quote(r.Method), allowed))
			return
		}
		h(w, r)
	})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, &NotFoundError{What: "path", Name: r.URL.Path, Suggestions: Nearest(r.URL.Path, s.paths)})
}

// read limits how many requests to read are served per second.
func (s *Server) read(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.reads.Allow() {
			w.Header().Set("Retry-After", "1")
			s.writeError(w, http.StatusTooManyRequests, "too many requests; try again in a second")
			return
		}
		h(w, r)
	}
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, http.StatusOK, s.backend.Status(r.Context()))
}

func (s *Server) getRing(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, http.StatusOK, s.backend.Ring(r.Context()))
}

func (s *Server) getOwner(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if id == "" {
		s.fail(w, r, &BadRequestError{
			Message: "the parameter id is missing, want the ID of an object, namespace/apiVersion/Kind/name",
			Suggestions: []string{
				"/api/v1/owner?id=default/apps/v1/Deployment/nginx",
				"/api/v1/owner?id=_cluster/v1/Namespace/default",
			},
		})
		return
	}
	parts, err := resource.ParseID(id)
	if err != nil {
		s.fail(w, r, &BadRequestError{Message: err.Error()})
		return
	}
	o, err := s.backend.Owner(parts.ID())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writeJSON(w, http.StatusOK, o)
}
