package orphans

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

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Finder asks one receiver for its documents, where the receiver can list them, and deletes those whose objects
// are gone. After a start it asks about the types of which no other source can tell what was deleted meanwhile;
// with every resync it asks about the types of the resync.
//
// A document is an orphan only if its object was unknown when the list began and is still unknown, or if the
// receiver does not select it. An object that is deleted in between is on its way like any other change. The
// owner of the object looks again before it deletes.
type Finder struct {
	opts     FinderOptions
	asking   chan struct{} // one slot, held by the asker
	followed atomic.Pointer[lately]

	mu       sync.Mutex // guards what follows
	kinds    kinds
	rest     time.Time // the receiver is not asked before
	failures int       // in a row
	held     map[resource.Type]repair.Held
	judged   map[resource.Type]bool // of those that nothing else could tell of
}

// Receiver can list its documents; [Client] is one.
type Receiver interface {
	// Kinds is as [Client.Kinds].
	Kinds(ctx context.Context) (kinds []Kind, blind bool, err error)
	// List is as [Client.List].
	List(ctx context.Context, kind Kind) (Listing, error)
}

// FinderOptions are what a [Finder] is made of.
type FinderOptions struct {
	// Receiver is the receiver to ask; nil: it has no list. Close ends the asking.
	Receiver Receiver
	Close    func()
	// Index holds the present objects, of the namespaces that are watched.
	Index      *index.Index
	Namespaces watch.NamespaceFilter
	// Wants tells whether the receiver selects objects like this one, Hides whether it does not select an
	// existing one, Watching whether the watch of a type works.
	Wants, Hides func(t resource.Type, namespace, name string) bool
	Watching     func(t resource.Type) bool
	// Pending yields the objects of a type whose deletion is on its way, Sweep deletes documents.
	Pending func(t resource.Type, f func(namespace, name string))
	Sweep   repair.Sweep
	Metrics *repair.Metrics
	Log     logr.Logger
}

// NewFinder returns a finder that has asked nothing.
func NewFinder(opts FinderOptions) *Finder {
	return &Finder{
		opts: opts, asking: make(chan struct{}, 1), held: make(map[resource.Type]repair.Held), judged: make(map[resource.Type]bool),
	}
}

// kinds are the kinds of which a receiver held documents at one moment.
type kinds struct {
	all   []Kind
	blind bool
	at    time.Time
}

var (
	errNotWatched = errors.New("its objects are not watched at present")
	errResting    = errors.New("the receiver could not be asked a moment ago")
)

const (
	// kindsFor is how long the answer about kinds is reused: the parts of a resync ask one after the other. A
	// kind that is newer than the answer has no orphans yet.
	kindsFor = 30 * time.Second
	// firstRest and lastRest bound the pause after a receiver could not be asked.
	firstRest = 10 * time.Second
	lastRest  = 5 * time.Minute
)

// Able tells whether the receiver can be asked.
func (f *Finder) Able() bool { return f.opts.Receiver != nil }

// Repair is the result of asking about a type.
type Repair struct {
	// Deleted is how many documents were deleted, Held how many were kept because there are more than may be
	// deleted without a person's consent.
	Deleted, Held int
	// Blind tells that the receiver may hold more than it lists.
	Blind bool
}

// Repair asks for the receiver's documents of a type and deletes those that are in scope and have no object,
// unless there are too many. With force it returns when they are deleted, or after a while. The type must have
// been listed.
func (f *Finder) Repair(ctx context.Context, t resource.Type, within repair.Scope, force bool) (Repair, error) {
	select {
	case f.asking <- struct{}{}:
	case <-ctx.Done():
		return Repair{}, fmt.Errorf("waiting to ask the receiver: %w", ctx.Err())
	}
	v, err := f.judge(ctx, t, within, force)
	<-f.asking
	switch {
	case errors.Is(err, errResting) || errors.Is(err, errNotWatched):
		return Repair{}, err
	case err != nil:
		f.failed(ctx, err)
		return Repair{}, err
	}
	f.succeeded(t, v, within.Whole())
	a := Repair{Blind: v.Blind}
	if v.Status == guard.Guarded {
		a.Held = v.Missing
		return a, nil
	}
	a.Deleted, err = f.opts.Sweep(ctx, t, v.Deleted, force)
	f.opts.Metrics.Found(repair.Receiver, a.Deleted)
	if a.Deleted > 0 {
		f.opts.Log.Info("The receiver held documents whose objects are gone; they are deleted", "resource", t.String(), "documents", a.Deleted)
	}
	return a, err
}

// judge compares the receiver's list of a type with the present objects.
func (f *Finder) judge(ctx context.Context, t resource.Type, within repair.Scope, force bool) (Verdict, error) {
	f.mu.Lock()
	resting := time.Now().Before(f.rest)
	f.mu.Unlock()
	switch {
	case resting:
		return Verdict{}, errResting
	case !f.opts.Index.Type(t).Listed || !f.opts.Watching(t):
		return Verdict{}, errNotWatched
	}
	lately := f.follow(t)
	defer f.unfollow()
	// Two types of one kind share their IDs.
	alike := slices.DeleteFunc(f.opts.Index.Types(), func(other resource.Type) bool {
		return other.Kind != t.Kind || other.APIVersion() != t.APIVersion()
	})
	held, err := f.kindsHeld(ctx)
	if err != nil {
		return Verdict{}, err
	}
	kind := Kind{Kind: t.Kind, APIVersion: t.APIVersion()}
	l := Listing{Kind: kind, Blind: held.blind}
	if slices.ContainsFunc(held.all, func(k Kind) bool { return k.Kind == kind.Kind && k.APIVersion == kind.APIVersion }) {
		if l, err = f.opts.Receiver.List(ctx, kind); err != nil {
			return Verdict{}, err
		}
		l.Blind = l.Blind || held.blind
	}
	if !f.opts.Index.Type(t).Listed || !f.opts.Watching(t) { // the watch may have failed meanwhile
		return Verdict{}, errNotWatched
	}
	l.Documents = slices.DeleteFunc(l.Documents, func(d Document) bool {
		if d.Namespace == resource.ClusterNamespace {
			d.Namespace = ""
		}
		return !within.Has(d.Namespace, d.Name)
	})
	watched := func(o guard.Object) bool {
		return f.opts.Namespaces.Match(t, o.Namespace, o.Name) && f.opts.Wants(t, o.Namespace, o.Name)
	}
	there := func(o guard.Object) bool { // in this order: it may be deleted in between
		return f.has(alike, o) || lately.has(o.Namespace, o.Name)
	}
	return Judge(l, t, watched, there, force), nil
}

// kindsHeld asks for the kinds, unless a recent answer is there.
func (f *Finder) kindsHeld(ctx context.Context) (kinds, error) {
	f.mu.Lock()
	k := f.kinds
	f.mu.Unlock()
	if !k.at.IsZero() && time.Since(k.at) < kindsFor {
		return k, nil
	}
	k.at = time.Now()
	var err error
	if k.all, k.blind, err = f.opts.Receiver.Kinds(ctx); err != nil {
		return kinds{}, err // The error names the request.
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kinds = k
	return k, nil
}

// lately are the objects of a type that were deleted a moment ago: the receiver may not have known of the
// deletion when it made its list, and learns of it as of any other change.
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

// follow begins to note which objects of a type are deleted, beginning with those whose deletion is on its way
// already.
func (f *Finder) follow(t resource.Type) *lately {
	l := &lately{t: t, hashes: make(map[uint64]struct{})}
	f.followed.Store(l)
	f.opts.Pending(t, l.add) // after that: an object that is deleted in between is in both
	return l
}

func (f *Finder) unfollow() { f.followed.Store(nil) }

// Applied gets each change after the pipeline.
func (f *Finder) Applied(ch index.Change) {
	if l := f.followed.Load(); l != nil && ch.Deleted && l.t == ch.Type {
		l.add(ch.Record.Namespace, ch.Record.Name)
	}
}

// succeeded notes a verdict on all of a type, or on some of it.
func (f *Finder) succeeded(t resource.Type, v Verdict, whole bool) {
	result := repair.Whole
	if v.Blind {
		result = repair.Part
	}
	f.opts.Metrics.Listed(result)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failures > 0 {
		f.opts.Log.Info("The receiver lists its documents again")
	}
	f.failures, f.rest = 0, time.Time{}
	w, known := f.held[t]
	switch w.Documents -= len(v.Deleted); {
	case v.Status == guard.Guarded:
		if !known {
			f.opts.Log.Info("The receiver holds more orphans than the guard lets a repair delete; they stay until a resync with force",
				"resource", t.String(), "documents", v.Missing, "limit", v.Limit, "listed", v.Known)
		}
		f.held[t] = repair.Held{Resource: t.String(), Source: repair.Receiver, Documents: v.Missing, Limit: v.Limit}
	case whole || w.Documents <= 0:
		delete(f.held, t)
	default:
		f.held[t] = w
	}
	f.report()
}

// failed pauses the asking of a receiver that could not be asked.
func (f *Finder) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f.opts.Metrics.Listed(repair.Failed)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest = time.Now().Add(min(firstRest<<min(f.failures, 10), lastRest))
	if f.failures++; f.failures == 1 {
		f.opts.Log.Error(err, "The receiver does not list its documents; it is asked again later")
	}
}

// report is called with mu held.
func (f *Finder) report() {
	f.opts.Metrics.Unsolved("listing", len(f.held), repair.Documents(f.held))
}

// Held returns a copy of the held repairs.
func (f *Finder) Held() map[resource.Type]repair.Held {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.held)
}

// told lets the other members know that the receiver has told of a type.
func (f *Finder) told(t resource.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judged[t] = true
}

// Judged are the names of the types of which only the receiver could tell.
func (f *Finder) Judged() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for t := range f.judged {
		names = append(names, t.String())
	}
	slices.Sort(names)
	return names
}

// has tells whether one of several types has an object that the receiver selects.
func (f *Finder) has(types []resource.Type, o guard.Object) bool {
	return slices.ContainsFunc(types, func(t resource.Type) bool {
		_, _, ok := f.opts.Index.Get(t, o.Namespace, o.Name)
		return ok && !f.opts.Hides(t, o.Namespace, o.Name)
	})
}
