package replay

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// bookmarkEvery is how often kube-apiserver sends a bookmark.
	bookmarkEvery = time.Minute
	// watchFor is how long a watch stays open that does not set a time itself.
	watchFor = 30 * time.Minute
)

// respond writes an answer.
func (s *Server) respond(w http.ResponseWriter, code int, o runtime.Object, enc encoding) {
	body, err := encode(o, enc)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", enc.contentType(false))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// selection is the limits of a list or a watch.
type selection struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
}

func selectionOf(t *target, q url.Values) (selection, error) {
	l, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		return selection{}, apierrors.NewBadRequest(err.Error())
	}
	f, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		return selection{}, apierrors.NewBadRequest(err.Error())
	}
	return selection{t.namespace, l, f}, nil
}

func (s selection) match(o *object) bool {
	return (s.namespace == "" || s.namespace == o.Namespace) && s.labels.Matches(labels.Set(o.Labels)) &&
		s.fields.Matches(fields.Set{"metadata.name": o.Name, "metadata.namespace": o.Namespace})
}

// get answers with one object.
func (s *Server) get(w http.ResponseWriter, t *target) error {
	o := t.collection.one(t.namespace, t.name)
	if o == nil {
		return apierrors.NewNotFound(t.groupResource(), t.name)
	}
	out, err := o.in(t.gvk(), t.enc)
	if err != nil {
		return err
	}
	s.respond(w, http.StatusOK, out, t.enc)
	return nil
}

// one returns an object, or nil.
func (c *collection) one(namespace, name string) *object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.written[namespace+"/"+name]; o != nil {
		return o
	}
	if i, ok := c.find(namespace, name); ok && c.states[i].version != 0 {
		return &object{PartialObjectMetadata: c.made(i, c.states[i])}
	}
	return nil
}

// list answers with a page. Its continue token has the version and the number of the next object.
func (s *Server) list(w http.ResponseWriter, r *http.Request, t *target) error {
	q := r.URL.Query()
	sel, err := selectionOf(t, q)
	if err != nil {
		return err
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	snap, from, err := t.collection.listed(q, s.current)
	if err != nil {
		return err
	}
	var page []*object
	m := metav1.ListMeta{ResourceVersion: strconv.FormatUint(snap.version, 10)}
	t.collection.each(snap, from, func(i int, o *object) bool {
		if !sel.match(o) {
			return true
		}
		if limit > 0 && len(page) == limit {
			m.Continue = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", snap.version, i))
			return false
		}
		page = append(page, o)
		return true
	})
	if m.Continue != "" {
		t.collection.keep(snap)
	}
	list, err := listOf(t.gvk(), page, m, t.enc)
	if err != nil {
		return err
	}
	s.respond(w, http.StatusOK, list, t.enc)
	return nil
}

// listed returns the snapshot of a list, and the number of its first object.
func (c *collection) listed(q url.Values, version func() uint64) (*snapshot, int, error) {
	if token := q.Get("continue"); token != "" {
		var at uint64
		var from int
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			_, err = fmt.Sscanf(string(raw), "%d %d", &at, &from)
		}
		if err != nil {
			return nil, 0, apierrors.NewBadRequest("continue token is none of ours: " + err.Error())
		}
		snap := c.kept(at)
		if snap == nil {
			return nil, 0, apierrors.NewResourceExpired("the list that this token continues is not kept any more")
		}
		return snap, from, nil
	}
	snap, _ := c.take(version)
	if q.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact) {
		exact := resource.ParseVersion(q.Get("resourceVersion"))
		if at, ok := c.after(exact); !ok || at != c.end() {
			return nil, 0, apierrors.NewResourceExpired("no list of the past is kept")
		}
		snap.version = exact
	}
	return snap, 0, nil
}

// end is the number of the next event.
func (c *collection) end() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten + uint64(len(c.log))
}

// watch answers with a stream: a list first, if the request asks for that, then changes, with bookmarks among them.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, t *target) error {
	q := r.URL.Query()
	sel, err := selectionOf(t, q)
	if err != nil {
		return err
	}
	st := &stream{server: s, target: t, selection: sel, w: w, flush: http.NewResponseController(w).Flush}
	version := q.Get("resourceVersion")
	initial := q.Get("sendInitialEvents") == "true"
	var snap *snapshot
	if initial || version == "" || version == "0" {
		snap, st.at = t.collection.take(s.current)
	} else {
		var ok bool
		if st.at, ok = t.collection.after(resource.ParseVersion(version)); !ok {
			return apierrors.NewResourceExpired("too old resource version: " + version)
		}
	}
	w.Header().Set("Content-Type", t.enc.contentType(true))
	w.WriteHeader(http.StatusOK)
	if err := st.flush(); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	if snap != nil && !st.list(snap, initial) {
		return nil
	}
	seconds, _ := strconv.Atoi(q.Get("timeoutSeconds"))
	st.follow(r.Context().Done(), time.Duration(seconds)*time.Second)
	return nil
}

// stream is one watch.
type stream struct {
	server    *Server
	target    *target
	selection selection
	w         http.ResponseWriter
	flush     func() error
	at        uint64 // the number of the next event
}

// list writes all objects, and the bookmark at their end if the request asks for it.
func (st *stream) list(snap *snapshot, ends bool) bool {
	ok := true
	st.target.collection.each(snap, 0, func(_ int, o *object) bool {
		if st.selection.match(o) {
			ok = st.write(&event{kind: apiwatch.Added, object: o})
		}
		return ok
	})
	if ok && ends {
		ok = st.bookmark(snap.version, true)
	}
	return ok && st.flush() == nil
}

// follow writes changes until the client leaves, the time is over, or the client has fallen behind.
func (st *stream) follow(gone <-chan struct{}, within time.Duration) {
	if within <= 0 {
		within = watchFor
	}
	end := time.After(within)
	tick := time.NewTicker(bookmarkEvery)
	defer tick.Stop()
	for {
		events, changed, ok := st.target.collection.since(st.at)
		if !ok {
			return
		}
		for _, e := range events {
			if st.selection.match(e.object) && !st.write(e) {
				return
			}
		}
		st.at += uint64(len(events))
		if len(events) > 0 && st.flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
			if !st.bookmark(st.version(), false) || st.flush() != nil {
				return
			}
		case <-end:
			if st.bookmark(st.version(), false) {
				_ = st.flush()
			}
			return
		case <-gone:
			return
		case <-st.server.stopping:
			return
		}
	}
}

// version is the version up to which every event has been written.
func (st *stream) version() uint64 {
	c := st.target.collection
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.at < c.forgotten+uint64(len(c.log)) {
		if st.at <= c.forgotten {
			return c.compacted
		}
		return c.log[st.at-c.forgotten-1].version
	}
	return st.server.current()
}

func (st *stream) write(e *event) bool {
	f, err := e.frame(st.target.gvk(), st.target.enc)
	if err != nil {
		return false
	}
	_, err = st.w.Write(f)
	return err == nil
}

// bookmark tells the version up to which every event has been written, and perhaps that the list is complete.
func (st *stream) bookmark(version uint64, ends bool) bool {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10)}}
	if ends {
		m.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	return st.write(&event{kind: apiwatch.Bookmark, object: &object{PartialObjectMetadata: m}})
}
