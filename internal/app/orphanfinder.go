package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// orphanFinder asks one receiver what it holds, where it can be asked, and has the documents deleted whose objects
// are gone: after a start, of the types of which nothing else can tell what was deleted meanwhile, and with every
// resync.
//
// A document is an orphan only if its object was neither known when the list was begun, nor is known now, or if the
// receiver is not to have it: what was deleted in between is on its way like any other change. And the owner
// of the object looks again before it deletes.
type orphanFinder struct {
	receiver   orphans.Receiver // nil: it has no list
	close      func()
	index      *index.Index
	namespaces watch.NamespaceFilter
	wants      func(t resource.Type, namespace, name string) bool
	hides      func(t resource.Type, namespace, name string) bool // the receiver is not to have an object that is there
	watching   func(t resource.Type) bool                         // its watch is well
	pending    func(t resource.Type, f func(namespace, name string))
	sweep      repair.Sweep
	metrics    *repair.Metrics
	log        logr.Logger
	asking     chan struct{} // one slot, held by the asker
	followed   atomic.Pointer[lately]

	mu       sync.Mutex // guards what follows
	kinds    kinds
	rest     time.Time // the receiver is not asked before
	failures int       // in a row
	held     map[resource.Type]repair.Held
	judged   map[resource.Type]bool // of those that nothing else could tell of
}

// kinds are what a receiver holds, of which kinds, at one moment.
type kinds struct {
	all   []orphans.Kind
	blind bool
	at    time.Time
}

var (
	errNotWatched = errors.New("its objects are not watched at present")
	errResting    = errors.New("the receiver could not be asked a moment ago")
)

const (
	// kindsFor is how long the kinds that a receiver holds are taken for those it holds: the parts of a resync ask one
	// after the other. Of a kind that has come since then nothing is an orphan yet.
	kindsFor = 30 * time.Second
	// firstRest and lastRest bound how long a receiver is left alone that could not be asked.
	firstRest = 10 * time.Second
	lastRest  = 5 * time.Minute
)

// able tells whether the receiver can be asked.
func (c *orphanFinder) able() bool { return c.receiver != nil }

// judgedType is what came of asking about a type.
type judgedType struct {
	operations.Repair
	blind bool // the receiver may hold more than it lists
}

// repair asks what the receiver holds of a type and has those documents deleted that are in scope and have no object,
// unless they are too many. With force it returns when they are deleted, or after a while. The type must have
// been listed.
func (c *orphanFinder) repair(ctx context.Context, t resource.Type, within repair.Scope, force bool) (judgedType, error) {
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return judgedType{}, fmt.Errorf("repair.Held to ask the receiver: %w", ctx.Err())
	}
	v, err := c.judge(ctx, t, within, force)
	<-c.asking
	switch {
	case errors.Is(err, errResting) || errors.Is(err, errNotWatched):
		return judgedType{}, err
	case err != nil:
		c.failed(ctx, err)
		return judgedType{}, err
	}
	c.succeeded(t, v, within.Whole())
	a := judgedType{blind: v.Blind}
	if v.Status == orphans.Guarded {
		a.Held = v.Orphans
		return a, nil
	}
	gone := make([]repair.Object, 0, len(v.Deleted))
	for _, o := range v.Deleted {
		gone = append(gone, repair.Object{Namespace: o.Namespace, Name: o.Name})
	}
	a.Deleted, err = c.sweep(ctx, t, gone, force)
	c.metrics.Found(repair.Receiver, a.Deleted)
	if a.Deleted > 0 {
		c.log.Info("The receiver held documents whose objects are gone; they are deleted", "resource", t.String(), "documents", a.Deleted)
	}
	return a, err
}

// judge compares what the receiver lists of a type with what there is.
func (c *orphanFinder) judge(ctx context.Context, t resource.Type, within repair.Scope, force bool) (orphans.Verdict, error) {
	c.mu.Lock()
	resting := time.Now().Before(c.rest)
	c.mu.Unlock()
	switch {
	case resting:
		return orphans.Verdict{}, errResting
	case !c.index.Type(t).Listed || !c.watching(t):
		return orphans.Verdict{}, errNotWatched
	}
	lately := c.follow(t)
	defer c.unfollow()
	v := present{c: c, t: t, lately: lately}
	for _, other := range c.index.Types() {
		if other.Kind == t.Kind && other.APIVersion() == t.APIVersion() { // Two types of one kind share their IDs.
			v.alike = append(v.alike, other)
		}
	}
	held, err := c.kindsHeld(ctx)
	if err != nil {
		return orphans.Verdict{}, err
	}
	kind := orphans.Kind{Kind: t.Kind, APIVersion: t.APIVersion()}
	l := orphans.Listing{Kind: kind, Blind: held.blind}
	if slices.ContainsFunc(held.all, func(k orphans.Kind) bool { return k.Kind == kind.Kind && k.APIVersion == kind.APIVersion }) {
		if l, err = c.receiver.List(ctx, kind); err != nil {
			return orphans.Verdict{}, err
		}
		l.Blind = l.Blind || held.blind
	}
	if !c.index.Type(t).Listed || !c.watching(t) { // any more
		return orphans.Verdict{}, errNotWatched
	}
	l.Documents = slices.DeleteFunc(l.Documents, func(d orphans.Document) bool {
		if d.Namespace == resource.ClusterNamespace {
			d.Namespace = ""
		}
		return !within.Has(d.Namespace, d.Name)
	})
	return orphans.Judge(l, v, force), nil
}

// kindsHeld asks for the kinds, if that was not done a moment ago.
func (c *orphanFinder) kindsHeld(ctx context.Context) (kinds, error) {
	c.mu.Lock()
	k := c.kinds
	c.mu.Unlock()
	if !k.at.IsZero() && time.Since(k.at) < kindsFor {
		return k, nil
	}
	k.at = time.Now()
	var err error
	if k.all, k.blind, err = c.receiver.Kinds(ctx); err != nil {
		return kinds{}, err // It says what it was doing.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds = k
	return k, nil
}

// lately are the objects of a type that were deleted a moment ago: the receiver may not have heard of it when
// it made its list, and hears of it like of any other change.
type lately struct {
	t resource.Type

	mu     sync.Mutex          // guards hashes
	hashes map[uint64]struct{} // of the names
}

func (l *lately) add(namespace, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hashes[xxhash.Sum64String(namespace+"/"+name)] = struct{}{}
}

func (l *lately) has(namespace, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.hashes[xxhash.Sum64String(namespace+"/"+name)]
	return ok
}

// follow begins to note which objects of a type are deleted, with those whose deletion is on its way already.
func (c *orphanFinder) follow(t resource.Type) *lately {
	l := &lately{t: t, hashes: make(map[uint64]struct{})}
	c.followed.Store(l)
	c.pending(t, l.add) // after that: what is deleted in between is in both
	return l
}

func (c *orphanFinder) unfollow() { c.followed.Store(nil) }

// applied is told of a change after the pipeline was.
func (c *orphanFinder) applied(ch index.Change) {
	if l := c.followed.Load(); l != nil && ch.Deleted && l.t == ch.Type {
		l.add(ch.Record.Namespace, ch.Record.Name)
	}
}

// succeeded notes a verdict on all of a type, or on some of it.
func (c *orphanFinder) succeeded(t resource.Type, v orphans.Verdict, whole bool) {
	result := repair.Whole
	if v.Blind {
		result = repair.Part
	}
	c.metrics.Listed(result)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures > 0 {
		c.log.Info("The receiver tells again what it holds")
	}
	c.failures, c.rest = 0, time.Time{}
	w, known := c.held[t]
	switch w.Documents -= len(v.Deleted); {
	case v.Status == orphans.Guarded:
		if !known {
			c.log.Info("The receiver holds more documents without an object than may be deleted without a person's word; they stay until a resync with force",
				"resource", t.String(), "documents", v.Orphans, "limit", v.Limit, "listed", v.Listed)
		}
		c.held[t] = repair.Held{Resource: t.String(), Source: repair.Receiver, Documents: v.Orphans, Limit: v.Limit}
	case whole || w.Documents <= 0:
		delete(c.held, t)
	default:
		c.held[t] = w
	}
	c.report()
}

// failed leaves a receiver alone for a while that could not be asked.
func (c *orphanFinder) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	c.metrics.Listed(repair.Failed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = time.Now().Add(min(firstRest<<min(c.failures, 10), lastRest))
	if c.failures++; c.failures == 1 {
		c.log.Error(err, "The receiver cannot be asked what it holds; it is asked again later")
	}
}

// report is called with mu held.
func (c *orphanFinder) report() {
	c.metrics.Unsolved("listing", len(c.held), repair.Documents(c.held))
}

// waits returns a copy of what is held back.
func (c *orphanFinder) waits() map[resource.Type]repair.Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.held)
}

// tell makes it known to the other members that the receiver has told of a type.
func (c *orphanFinder) tell(t resource.Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judged[t] = true
}

// judgedTypes are the names of those that nothing else could tell of.
func (c *orphanFinder) judgedTypes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for t := range c.judged {
		names = append(names, t.String())
	}
	slices.Sort(names)
	return names
}

// present is what there is of one type, for package orphans.
type present struct {
	c      *orphanFinder
	t      resource.Type
	alike  []resource.Type // of the same kind
	lately *lately
}

// Kind implements [orphans.View].
func (p present) Kind(kind, apiVersion string) orphans.State {
	if p.t.Kind != kind || p.t.APIVersion() != apiVersion {
		return orphans.State{}
	}
	return orphans.State{Type: p.t, Listed: true, Objects: p.c.index.Type(p.t).Objects}
}

// Has implements [orphans.View].
func (p present) Has(_ resource.Type, namespace, name string) bool {
	there := slices.ContainsFunc(p.alike, func(t resource.Type) bool {
		_, _, ok := p.c.index.Get(t, namespace, name)
		return ok && !p.c.hides(t, namespace, name)
	})
	return there || p.lately.has(namespace, name) // in this order: it may be deleted in between
}

// Watched implements [orphans.View].
func (p present) Watched(t resource.Type, namespace, name string) bool {
	return p.c.namespaces.Match(t, namespace, name) && p.c.wants(t, namespace, name)
}
