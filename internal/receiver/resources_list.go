package receiver

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

const (
	listDefaultLimit = 100
	listMaxLimit     = 1000 // a larger limit silently becomes this one
	lostCollection   = "Collection 'resources' does not exist"
)

// listContract is the endpoints by which dot-ai lists its documents. Each call reads the first 10,000 points of the
// whole collection and filters afterwards, so that a call sees only a part of a large collection.
type listContract struct {
	opts    Options
	request *http.Request
}

func (listContract) kind() string { return KindList }

func (c listContract) precheck(r *http.Request) *answer {
	if a := unauthorized(r, c.opts); a != nil {
		return a
	}
	switch r.URL.Path {
	case "/api/v1/resources", "/api/v1/resources/kinds", "/api/v1/resources/search", "/api/v1/namespaces":
	default:
		return new(dotError(http.StatusNotFound, "NOT_FOUND", "Unknown API endpoint", nil))
	}
	if r.Method != http.MethodGet {
		return new(methodNotAllowed("GET"))
	}
	return nil
}

func (listContract) parse(*http.Request, []byte) (payload, *answer) { return payload{}, nil }

func (listContract) refuse(string, []int, []int) answer {
	return dotError(http.StatusInternalServerError, "LIST_RESOURCES_ERROR", "Refused by a fault", nil)
}

func (c listContract) apply(a *application) answer {
	path := c.request.URL.Path
	if a.effect.StoreDown || a.effect.CollectionLost {
		code := "LIST_RESOURCES_ERROR"
		if path == "/api/v1/resources/kinds" {
			code = "RESOURCE_KINDS_ERROR"
		}
		return dotError(http.StatusInternalServerError, code, lostCollection, nil)
	}
	switch path {
	case "/api/v1/resources/kinds":
		return c.kinds(a.srv.points())
	case "/api/v1/namespaces":
		return c.namespaces(a.srv.points())
	case "/api/v1/resources/search":
		return c.search(a)
	default:
		return c.resources(a.srv)
	}
}

// points is the part of the collection that dot-ai sees.
func (s *Server) points() []Document {
	list := s.docs.list(Resources, byPoint, pointCeiling)
	out := make([]Document, 0, len(list))
	for _, k := range list {
		if d, err := k.unpack(); err == nil { // unpack can read all that pack writes
			out = append(out, d)
		}
	}
	return out
}

// listed is a document as dot-ai lists it.
type listed struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	APIGroup   string            `json:"apiGroup"`
	APIVersion string            `json:"apiVersion"`
	Labels     map[string]string `json:"labels"`
	CreatedAt  string            `json:"createdAt"`
	UpdatedAt  string            `json:"updatedAt"`
}

func asListed(d Document) listed {
	l := listed{d.Namespace, d.Name, d.Kind, d.APIGroup, d.APIVersion, d.Labels, d.CreatedAt, d.UpdatedAt}
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	return l
}

func (c listContract) resources(s *Server) answer {
	q := c.request.URL.Query()
	kind, apiVersion, namespace := q.Get("kind"), q.Get("apiVersion"), q.Get("namespace")
	for _, key := range []string{"kind", "apiVersion"} {
		if q.Get(key) == "" {
			return dotError(http.StatusBadRequest, "MISSING_PARAMETER", fmt.Sprintf("The %q query parameter is required", key), nil)
		}
	}
	limit, bad := number(q.Get("limit"), "limit", listDefaultLimit, 1)
	if bad != nil {
		return *bad
	}
	offset, bad := number(q.Get("offset"), "offset", 0, 0)
	if bad != nil {
		return *bad
	}
	limit = min(limit, listMaxLimit)
	found := []listed{}
	for _, d := range s.points() {
		if d.Kind == kind && d.APIVersion == apiVersion && (namespace == "" || d.Namespace == namespace) {
			found = append(found, asListed(d))
		}
	}
	from := min(offset, len(found))
	return dotSuccess(struct {
		Resources []listed `json:"resources"`
		Total     int      `json:"total"`
		Limit     int      `json:"limit"`
		Offset    int      `json:"offset"`
	}{found[from:min(from+limit, len(found))], len(found), limit, offset})
}

func number(s, name string, def, least int) (int, *answer) {
	if s == "" {
		return def, nil
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < least {
		return 0, new(dotError(http.StatusBadRequest, "INVALID_PARAMETER",
			fmt.Sprintf("The %q parameter must be a number of at least %d", name, least), nil))
	}
	return v, nil
}

// kindCount is one line of the kinds endpoint.
type kindCount struct {
	Kind       string `json:"kind"`
	APIGroup   string `json:"apiGroup"`
	APIVersion string `json:"apiVersion"`
	Count      int    `json:"count"`
}

func (c listContract) kinds(points []Document) answer {
	namespace := c.request.URL.Query().Get("namespace")
	by := map[[3]string]int{}
	for _, d := range points {
		if namespace == "" || d.Namespace == namespace {
			by[[3]string{d.Kind, d.APIGroup, d.APIVersion}]++
		}
	}
	kinds := make([]kindCount, 0, len(by))
	for k, n := range by {
		kinds = append(kinds, kindCount{k[0], k[1], k[2], n})
	}
	slices.SortFunc(kinds, func(a, b kindCount) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	return dotSuccess(map[string]any{"kinds": kinds})
}

// namespaces leaves out _cluster, which is no namespace.
func (listContract) namespaces(points []Document) answer {
	set := map[string]struct{}{}
	for _, d := range points {
		if d.Namespace != "_cluster" {
			set[d.Namespace] = struct{}{}
		}
	}
	names := slices.Sorted(maps.Keys(set))
	if names == nil {
		names = []string{}
	}
	return dotSuccess(map[string]any{"namespaces": names})
}

// search ranks by words, and by meaning where there is an embedder, as the real dot-ai does.
func (c listContract) search(a *application) answer {
	q := c.request.URL.Query().Get("q")
	if q == "" {
		return dotError(http.StatusBadRequest, "MISSING_PARAMETER", `The "q" query parameter is required`, nil)
	}
	limit, bad := number(c.request.URL.Query().Get("limit"), "limit", listDefaultLimit, 1)
	if bad != nil {
		return *bad
	}
	found, err := a.srv.search.find(a.client, Query{Text: q, Store: Resources, Limit: min(limit, listMaxLimit)})
	if err != nil {
		return dotError(http.StatusInternalServerError, "LIST_RESOURCES_ERROR", err.Error(), nil)
	}
	type scored struct {
		listed
		Score float64 `json:"score"`
	}
	out := make([]scored, len(found.Hits))
	for i, h := range found.Hits {
		out[i] = scored{asListed(h.Document), h.Score}
	}
	return dotSuccess(map[string]any{"resources": out, "total": len(out)})
}
