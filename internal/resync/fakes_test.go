package resync_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods    = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	jobs    = resource.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
	missing = resource.Type{Version: "v1", Resource: "ghosts", Kind: "Ghost", Namespaced: true}
)

// rec is an object's state; two states with one digest are the same.
func rec(namespace, name string, digest uint64) resource.Record {
	return resource.Record{
		Namespace: namespace, Name: name, Digest: digest, ResourceVersion: 1, Body: resource.Body(fmt.Sprint(digest)),
	}
}

// some returns n objects of namespace a, in the order in which an API server lists them.
func some(n int) []resource.Record {
	rs := make([]resource.Record, n)
	for i := range rs {
		rs[i] = rec("a", fmt.Sprintf("o%02d", i), 1)
	}
	return rs
}

// lister returns given records, in pages of three, and records the requests.
type lister struct {
	mu      sync.Mutex // guards what follows
	objects map[resource.Type][]resource.Record
	log     []string
	before  func(ctx context.Context, t resource.Type, list, page int) error // nil: every page comes
	lists   int
	inexact bool // the last list need not be exact
}

func (l *lister) Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	l.mu.Lock()
	l.lists++
	l.inexact = opts.Inexact
	list, rs, before := l.lists, slices.Clone(l.objects[t]), l.before
	l.mu.Unlock()
	if opts.Namespace != "" {
		rs = slices.DeleteFunc(rs, func(r resource.Record) bool { return r.Namespace != opts.Namespace })
	}
	for n := 1; ; n++ {
		l.note("%s%s page %d", t.GroupResource(), within(opts.Namespace), n)
		if before != nil {
			if err := before(ctx, t, list, n); err != nil {
				return 0, fmt.Errorf("asking for page %d: %w", n, err)
			}
		}
		size := min(3, len(rs))
		if err := page(rs[:size:size]); err != nil {
			return 0, fmt.Errorf("taking page %d: %w", n, err)
		}
		if rs = rs[size:]; len(rs) == 0 {
			return 1, nil
		}
	}
}

func within(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in " + namespace
}

func (l *lister) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, fmt.Sprintf(format, args...))
}

func (l *lister) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	l.log = nil
	return log
}

// target takes every object and records it. It has room while open is not nil.
type target struct {
	mu      sync.Mutex // guards what follows
	got     []string
	filled  []string
	evicted map[resource.Type]bool
	exact   bool // what was filled last is of an exact list
	flushed int
	full    chan struct{} // nil: there is room; else there is once it is closed
}

func (tg *target) Offer(t resource.Type, r resource.Record, _ *pipeline.Ticket) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.got = append(tg.got, fmt.Sprintf("%s=%d", t.ID(r.Namespace, r.Name), r.Digest))
}

func (tg *target) Room(ctx context.Context) error {
	tg.mu.Lock()
	full := tg.full
	tg.mu.Unlock()
	if full == nil {
		return nil
	}
	select {
	case <-full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (tg *target) FlushBulk() {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.flushed++
}

func (tg *target) Evicted() map[resource.Type]bool {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return tg.evicted
}

func (tg *target) Fill(t resource.Type, r resource.Record, exact bool) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.exact = exact
	tg.filled = append(tg.filled, fmt.Sprintf("%s=%d", t.ID(r.Namespace, r.Name), r.Digest))
}

func (tg *target) offered() []string {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return slices.Clone(tg.got)
}

// fill makes the target full, and returns a function that makes room.
func (tg *target) fill() (room func()) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	full := make(chan struct{})
	tg.full = full
	return sync.OnceFunc(func() {
		tg.mu.Lock()
		defer tg.mu.Unlock()
		tg.full = nil
		close(full)
	})
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// rig is a sender with one target.
type rig struct {
	t      *testing.T
	index  *index.Index
	lister *lister
	target *target
	sender *resync.Sender
}

func newRig(t *testing.T, opts resync.Options) *rig {
	t.Helper()
	r := &rig{t: t, index: index.New(nil), target: &target{}, lister: &lister{objects: map[resource.Type][]resource.Record{}}}
	r.sender = resync.NewSender(r.lister, r.index, r.target, opts)
	return r
}

// exist makes objects known to the index and to the API server.
func (r *rig) exist(t resource.Type, rs ...resource.Record) {
	r.index.Replace(t, rs, 1)
	r.lister.mu.Lock()
	defer r.lister.mu.Unlock()
	r.lister.objects[t] = rs
}

// send sends a part and returns the result.
func (r *rig) send(p resync.Part) error {
	return r.sender.Send(r.t.Context(), p, nil, func(int, int) {})
}

// ids spells the calls that a target gets for objects of namespace a.
func ids(names ...string) []string {
	var all []string
	for _, n := range names {
		all = append(all, "a/v1/Pod/"+n+"=1")
	}
	return all
}

// numbered spells the calls that a target gets for the first n objects of some.
func numbered(n int) []string {
	var names []string
	for _, r := range some(n) {
		names = append(names, r.Name)
	}
	return ids(names...)
}
