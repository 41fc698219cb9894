package receiver

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/findtool"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// found is a hit as the search endpoint, the page and the tool show it.
type found = findtool.Resource

func asFound(h Hit) found {
	d := h.Document
	f := found{
		Kind: d.Kind, Namespace: d.Namespace, Name: d.Name, APIVersion: d.APIVersion, Labels: d.Labels, ID: d.ID, Score: h.Score,
	}
	for k, v := range d.Annotations {
		if k == "description" || f.Description == "" && strings.HasSuffix(k, "/description") {
			f.Description = v
		}
	}
	return f
}

// searchAnswer is a question and its hits.
type searchAnswer struct {
	Query string `json:"query"`
	// Ranking is how the hits are ranked: by words, or by words and meaning.
	Ranking string  `json:"ranking"`
	Hits    []found `json:"hits"`
}

// The values of Ranking.
const (
	byWordsAlone      = "words"
	byWordsAndMeaning = "words and meaning"
)

// ask reads q, store, namespace, kind and limit, and searches.
func (s *Server) ask(r *http.Request) (searchAnswer, error) {
	values := r.URL.Query()
	limit, err := strconv.Atoi(values.Get("limit"))
	if err != nil {
		limit = 0 // absent or no number: the default
	}
	return s.lookUp(r.Context(), Query{
		Text: values.Get("q"), Store: values.Get("store"), Namespace: values.Get("namespace"), Kind: values.Get("kind"), Limit: limit,
	})
}

func (s *Server) lookUp(ctx context.Context, q Query) (searchAnswer, error) {
	a := searchAnswer{Query: q.Text, Ranking: byWordsAlone, Hits: []found{}}
	result, err := s.Find(ctx, q)
	if err != nil {
		return a, err
	}
	if result.Meaning {
		a.Ranking = byWordsAndMeaning
	}
	for _, h := range result.Hits {
		a.Hits = append(a.Hits, asFound(h))
	}
	return a, nil
}

func (s *Server) serveSearch(w http.ResponseWriter, r *http.Request) {
	a, err := s.ask(r)
	switch {
	case a.Query == "":
		jsonAnswer(http.StatusBadRequest, map[string]string{"error": "q is missing, want words to search for"}).write(w)
	case err != nil:
		jsonAnswer(http.StatusInternalServerError, map[string]string{"error": err.Error()}).write(w)
	default:
		jsonAnswer(http.StatusOK, a).write(w)
	}
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	a, err := s.ask(r)
	view := struct {
		searchAnswer
		Embedder             bool
		ByMeaning            bool
		Error                string
		Instances, Resources int
		Examples             []string
	}{
		searchAnswer: a, Embedder: s.meaning != nil, ByMeaning: a.Ranking == byWordsAndMeaning, Instances: s.Len(Instances), Resources: s.Len(Resources),
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
