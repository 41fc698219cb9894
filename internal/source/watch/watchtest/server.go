// Package watchtest is a small API server in memory, for tests of code that lists and watches metadata. It has
// versions, streamed and paged lists, bookmarks, compaction, and the failures of a real server.
//
// A [Server] is a metadata.Interface. It uses channels and short mutexes only, so it runs in a synctest
// bubble, and it is safe for concurrent use. Objects are handed out as deep copies.
package watchtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
)

// Requests counts the requests for one resource.
type Requests struct {
	// Lists are plain lists, one for each page.
	Lists int
	// Streams are watches that begin with a list.
	Streams int
	// Watches are watches that continue from a version.
	Watches int
	// Selectors are the requested label selectors, each once, separated by bars. The server does not apply them.
	Selectors string
}

func (r *Requests) selected(selector string) {
	if !slices.Contains(strings.Split(r.Selectors, "|"), selector) {
		r.Selectors = strings.TrimPrefix(r.Selectors+"|"+selector, "|")
	}
}

// Server is an API server in memory. Make one with [New].
type Server struct {
	mu        sync.Mutex // guards the fields below
	version   uint64
	compacted uint64
	resources map[schema.GroupVersionResource]*collection
}

// collection is one resource. Its log has every event since the start, so its state at any version follows from
// the log.
type collection struct {
	log      []event
	changed  chan struct{}          // closed and replaced when any field of the collection changes
	err      error                  // the answer to every request, if not nil
	hanging  bool                   // requests are not answered
	noStream bool                   // the server ignores that a request asks for a streamed list
	epoch    int                    // watches of an earlier epoch have ended
	losing   bool                   // only lists bring changes, watches do not
	silenced int                    // watches of this epoch and earlier ones get nothing, and do not end
	hidden   func(name string) bool // names that lists leave out
	listOnly bool                   // single objects may not be read
	requests Requests
}

type event struct {
	version uint64
	kind    apiwatch.EventType
	object  *metav1.PartialObjectMetadata
	lost    bool
	again   bool // a watch has brought the event before; it changes nothing
}

var _ metadata.Interface = (*Server)(nil)

// oldest is the version of a new server, and of a cache without any later event.
const oldest = 100

// New returns a server without objects, at version 100.
func New() *Server {
	return &Server{version: oldest, resources: map[schema.GroupVersionResource]*collection{}}
}

// collection returns the collection of a resource. The caller holds s.mu.
func (s *Server) collection(gvr schema.GroupVersionResource) *collection {
	c := s.resources[gvr]
	if c == nil {
		c = &collection{changed: make(chan struct{}), silenced: -1}
		s.resources[gvr] = c
	}
	return c
}

// change calls f with the collection of a resource, and wakes its watches.
func (s *Server) change(gvr schema.GroupVersionResource, f func(*collection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collection(gvr)
	f(c)
	close(c.changed)
	c.changed = make(chan struct{})
}

// Put creates or updates an object and returns its version.
func (s *Server) Put(gvr schema.GroupVersionResource, o metav1.ObjectMeta) uint64 {
	s.change(gvr, func(c *collection) {
		kind := apiwatch.Added
		if _, ok := c.at(s.version)[key(&o)]; ok {
			kind = apiwatch.Modified
		}
		s.record(c, kind, o)
	})
	return s.Version()
}

// Delete deletes an object and returns the version of its deletion. It has no effect on an object that does not
// exist.
func (s *Server) Delete(gvr schema.GroupVersionResource, namespace, name string) uint64 {
	s.change(gvr, func(c *collection) {
		if o, ok := c.at(s.version)[namespace+"/"+name]; ok {
			s.record(c, apiwatch.Deleted, o.ObjectMeta)
		}
	})
	return s.Version()
}

// Bookmark sends a bookmark of the present version to the watches.
func (s *Server) Bookmark(gvr schema.GroupVersionResource) {
	s.change(gvr, func(c *collection) { s.record(c, apiwatch.Bookmark, metav1.ObjectMeta{}) })
}

func (s *Server) record(c *collection, kind apiwatch.EventType, o metav1.ObjectMeta) {
	s.version++
	p := &metav1.PartialObjectMetadata{ObjectMeta: *o.DeepCopy()}
	p.ResourceVersion = strconv.FormatUint(s.version, 10)
	c.log = append(c.log, event{version: s.version, kind: kind, object: p, lost: c.losing})
}

// Version returns the present version.
func (s *Server) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// At returns the objects of a resource at a version: namespace/name → version of the object. It works for
// compacted versions, too.
func (s *Server) At(gvr schema.GroupVersionResource, version uint64) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]uint64{}
	for k, o := range s.collection(gvr).at(version) {
		names[k], _ = strconv.ParseUint(o.ResourceVersion, 10, 64)
	}
	return names
}

// Compact forgets all versions but the present one. The server answers a list or a watch from an earlier version
// with 410.
func (s *Server) Compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacted = s.version
}

// Fail answers every request for a resource with err, and ends its watches. Nil heals it.
func (s *Server) Fail(gvr schema.GroupVersionResource, err error) {
	s.change(gvr, func(c *collection) { c.err = err; c.epoch++ })
}

// Hang leaves requests for a resource without an answer, and ends its watches. With false, the server answers
// again, also the hanging requests.
func (s *Server) Hang(gvr schema.GroupVersionResource, hang bool) {
	s.change(gvr, func(c *collection) { c.hanging = hang; c.epoch++ })
}

// Silence makes the present watches of a resource silent, without ending them. Later watches are not affected.
func (s *Server) Silence(gvr schema.GroupVersionResource) {
	s.change(gvr, func(c *collection) { c.silenced = c.epoch; c.epoch++ })
}

// Lose makes watches of a resource lose all later events, or, with false, lose no more.
func (s *Server) Lose(gvr schema.GroupVersionResource, lose bool) {
	s.change(gvr, func(c *collection) { c.losing = lose })
}

// Repeat makes the watches bring the event of a version once more, after later events.
func (s *Server) Repeat(gvr schema.GroupVersionResource, version uint64) {
	s.change(gvr, func(c *collection) {
		for _, e := range c.log {
			if e.version == version {
				s.version++
				e.version, e.again = s.version, true
				c.log = append(c.log, e)
				return
			}
		}
	})
}

// IgnoreStreams makes a resource answer requests for a streamed list with a plain watch, as old servers do.
func (s *Server) IgnoreStreams(gvr schema.GroupVersionResource) {
	s.change(gvr, func(c *collection) { c.noStream = true })
}

// EndWatches ends the watches of a resource as an API server does after some minutes.
func (s *Server) EndWatches(gvr schema.GroupVersionResource) {
	s.change(gvr, func(c *collection) { c.epoch++ })
}

// Hide makes lists of a resource, streamed or not, silently lack all objects for whose name hidden returns true.
// Nil hides none.
func (s *Server) Hide(gvr schema.GroupVersionResource, hidden func(name string) bool) {
	s.change(gvr, func(c *collection) { c.hidden = hidden })
}

// ListOnly forbids reading single objects of a resource.
func (s *Server) ListOnly(gvr schema.GroupVersionResource) {
	s.change(gvr, func(c *collection) { c.listOnly = true })
}

// Restore goes back to a version, as a restore of etcd from a backup of that time does. All watches end. The
// server accepts watches from a later version, and they stay silent until the server reaches that version.
func (s *Server) Restore(version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
	for _, c := range s.resources {
		c.log = slices.DeleteFunc(c.log, func(e event) bool { return e.version > version })
		c.epoch++
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// Requests returns the counts of a resource.
func (s *Server) Requests(gvr schema.GroupVersionResource) Requests {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.collection(gvr).requests
}

// Resource returns the client of one resource.
func (s *Server) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return &getter{s: s, gvr: gvr}
}

func key(o *metav1.ObjectMeta) string { return o.Namespace + "/" + o.Name }

// at returns the state at a version.
func (c *collection) at(version uint64) map[string]*metav1.PartialObjectMetadata {
	state := map[string]*metav1.PartialObjectMetadata{}
	for _, e := range c.log {
		switch {
		case e.version > version:
			return state
		case e.again:
		case e.kind == apiwatch.Deleted:
			delete(state, key(&e.object.ObjectMeta))
		case e.kind != apiwatch.Bookmark:
			state[key(&e.object.ObjectMeta)] = e.object
		}
	}
	return state
}

// lists tells whether an object is in a list: a hidden object is only in the list of its own name.
func (g *getter) lists(o *metav1.PartialObjectMetadata, fieldSelector string) bool {
	if name, ok := strings.CutPrefix(fieldSelector, "metadata.name="); ok {
		return o.Name == name
	}
	return !g.s.collection(g.gvr).hides(o)
}

func (c *collection) hides(o *metav1.PartialObjectMetadata) bool {
	return c.hidden != nil && c.hidden(o.Name)
}

// getter is the client of one resource, of all namespaces or of one.
type getter struct {
	s         *Server
	gvr       schema.GroupVersionResource
	namespace string
}

var errNotServed = errors.New("this test server lists and watches, and gets, and does nothing else")

func (g *getter) Namespace(ns string) metadata.ResourceInterface {
	return &getter{s: g.s, gvr: g.gvr, namespace: ns}
}

func (g *getter) Delete(context.Context, string, metav1.DeleteOptions, ...string) error {
	return errNotServed
}

func (g *getter) DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error {
	return errNotServed
}

// Get returns the present state of an object.
func (g *getter) Get(ctx context.Context, name string, _ metav1.GetOptions, _ ...string) (*metav1.PartialObjectMetadata, error) {
	if err := g.ready(ctx, func(*Requests) {}); err != nil {
		return nil, err
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if g.s.collection(g.gvr).listOnly {
		return nil, apierrors.NewForbidden(g.gvr.GroupResource(), name, nil)
	}
	o, ok := g.s.collection(g.gvr).at(g.s.version)[g.namespace+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(g.gvr.GroupResource(), name)
	}
	return o.DeepCopy(), nil
}

func (g *getter) Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*metav1.PartialObjectMetadata, error) {
	return nil, errNotServed
}

// ready counts a request and waits while the resource hangs.
func (g *getter) ready(ctx context.Context, count func(*Requests)) error {
	g.s.mu.Lock()
	c := g.s.collection(g.gvr)
	count(&c.requests)
	for c.hanging {
		changed := c.changed
		g.s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		g.s.mu.Lock()
	}
	defer g.s.mu.Unlock()
	return c.err
}

// List answers as a real server does. A continue token names the version of the list and the last key.
func (g *getter) List(ctx context.Context, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	if err := g.ready(ctx, func(r *Requests) { r.Lists++; r.selected(opts.LabelSelector) }); err != nil {
		return nil, err
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	version, after := g.s.version, ""
	if opts.ResourceVersion == "0" {
		version = oldest // any version is allowed, so the server answers with the worst one
	}
	if opts.Continue != "" {
		if _, err := fmt.Sscanf(opts.Continue, "%d %s", &version, &after); err != nil {
			return nil, apierrors.NewBadRequest("continue token is malformed")
		}
	}
	if opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		version, _ = strconv.ParseUint(opts.ResourceVersion, 10, 64)
	}
	if version < g.s.compacted && opts.ResourceVersion != "0" {
		err := apierrors.NewResourceExpired("The provided resourceVersion is too old.")
		if opts.Continue != "" {
			err.ErrStatus.Continue = fmt.Sprintf("%d %s", g.s.version, after) // for a list that need not be consistent
		}
		return nil, err
	}
	state := g.s.collection(g.gvr).at(version)
	list := &metav1.PartialObjectMetadataList{}
	list.ResourceVersion = strconv.FormatUint(version, 10)
	for _, k := range slices.Sorted(maps.Keys(state)) {
		if k <= after || g.namespace != "" && !strings.HasPrefix(k, g.namespace+"/") || !g.lists(state[k], opts.FieldSelector) {
			continue
		}
		if opts.Limit > 0 && int64(len(list.Items)) == opts.Limit {
			list.Continue = fmt.Sprintf("%d %s", version, key(&list.Items[len(list.Items)-1].ObjectMeta))
			break
		}
		list.Items = append(list.Items, *state[k].DeepCopy())
	}
	return list, nil
}
