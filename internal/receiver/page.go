package receiver

import (
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// found is a hit as the search endpoint and the page show it.
type found struct {
	Kind        string            `json:"kind"`
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	APIVersion  string            `json:"apiVersion"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	ID          string            `json:"id"`
	Score       float64           `json:"score"`
}

func asFound(h Hit) found {
	d := h.Document
	f := found{d.Kind, d.Namespace, d.Name, d.APIVersion, "", d.Labels, d.ID, h.Score}
	for k, v := range d.Annotations {
		if k == "description" || f.Description == "" && strings.HasSuffix(k, "/description") {
			f.Description = v
		}
	}
	return f
}

// ask reads q, store and limit and searches.
func (s *Server) ask(r *http.Request) (q string, hits []found, err error) {
	values := r.URL.Query()
	q = values.Get("q")
	limit, err := strconv.Atoi(values.Get("limit"))
	if err != nil {
		limit = 0 // absent or no number: the default
	}
	results, err := s.Search(r.Context(), q, values.Get("store"), limit)
	if err != nil {
		return q, nil, err
	}
	hits = make([]found, len(results))
	for i, h := range results {
		hits[i] = asFound(h)
	}
	return q, hits, nil
}

func (s *Server) serveSearch(w http.ResponseWriter, r *http.Request) {
	q, hits, err := s.ask(r)
	switch {
	case q == "":
		jsonAnswer(http.StatusBadRequest, map[string]string{"error": "q is missing, want words to search for"}).write(w)
	case err != nil:
		jsonAnswer(http.StatusInternalServerError, map[string]string{"error": err.Error()}).write(w)
	default:
		jsonAnswer(http.StatusOK, struct {
			Query string  `json:"query"`
			Hits  []found `json:"hits"`
		}{q, hits}).write(w)
	}
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	q, hits, err := s.ask(r)
	view := struct {
		Query                string
		Hits                 []found
		Error                string
		Instances, Resources int
		Examples             []string
	}{
		Query: q, Hits: hits, Instances: s.Len(Instances), Resources: s.Len(Resources),
		Examples: []string{
			"which databases are we running?", "list deployments in production namespace", "find all services related to payments",
		},
	}
	status := http.StatusOK
	if err != nil {
		status, view.Error = http.StatusInternalServerError, err.Error()
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := page.Execute(w, view); err != nil {
		s.opts.Logger.V(1).Info("Failed to write the search page", "reason", err.Error()) // the client has left
	}
}
