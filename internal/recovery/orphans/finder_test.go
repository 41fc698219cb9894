package orphans_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// holder is a receiver that holds documents of pods.
type holder struct {
	documents []string // namespace/name
	blind     bool
	fail      error
	meanwhile func() // runs while the receiver makes its list
	asked     int
}

func (h *holder) Kinds(context.Context) ([]orphans.Kind, bool, error) {
	h.asked++
	return []orphans.Kind{{Kind: "Pod", APIVersion: "v1", Documents: len(h.documents)}, {Kind: "Node", APIVersion: "v1", Documents: 3}}, h.blind, h.fail
}

func (h *holder) List(_ context.Context, k orphans.Kind) (orphans.Listing, error) {
	l := orphans.Listing{Kind: k}
	for _, d := range h.documents {
		namespace, name, _ := strings.Cut(d, "/")
		l.Documents = append(l.Documents, orphans.Document{Namespace: namespace, Name: name})
	}
	if h.meanwhile != nil {
		h.meanwhile()
	}
	return l, nil
}

// asking is an orphan finder of pods over an index that holds a/x and b/y.
type asking struct {
	*orphans.Finder
	holder  *holder
	index   *index.Index
	well    bool
	pending []string
	deleted []string
	closed  bool
}

func newAsking(documents ...string) *asking {
	a := &asking{holder: &holder{documents: documents}, index: index.New(nil), well: true}
	a.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}, {Namespace: "b", Name: "y", ResourceVersion: 6}}, 100)
	a.Finder = orphans.NewFinder(orphans.FinderOptions{
		Receiver: a.holder, Index: a.index, Watching: func(resource.Type) bool { return a.well },
		Wants: func(_ resource.Type, namespace, _ string) bool { return namespace != "unwanted" },
		Hides: func(_ resource.Type, _, name string) bool { return strings.HasPrefix(name, "hidden") },
		Pending: func(_ resource.Type, f func(namespace, name string)) {
			for _, p := range a.pending {
				namespace, name, _ := strings.Cut(p, "/")
				f(namespace, name)
			}
		},
		Sweep: func(_ context.Context, _ resource.Type, gone []guard.Object, _ bool) (int, error) {
			for _, o := range gone {
				a.deleted = append(a.deleted, o.Namespace+"/"+o.Name)
			}
			return len(gone), nil
		},
		Metrics: repair.NewMetrics(nil), Log: logr.Discard(), Close: func() { a.closed = true },
	})
	return a
}

// repair asks about pods, in one namespace or in all.
func (a *asking) repair(ctx context.Context, namespace string, force bool) (orphans.Repair, error) {
	return a.Repair(ctx, pods, repair.Scope{Namespace: namespace}, force)
}

// held is how many documents of pods are held back.
func (a *asking) held() int { return a.Held()[pods].Documents }

func manyPods(n int) []string {
	all := []string{"a/x", "b/y"}
	for i := range n {
		all = append(all, fmt.Sprintf("%c/m%02d", 'a'+i%2, i))
	}
	return all
}

func TestDocumentsWithoutAnObjectAreDeleted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		documents []string
		prepare   func(a *asking)
		namespace string
		force     bool
		want      []string
		repair    orphans.Repair
		held      int
	}{
		"none":                  {[]string{"a/x", "b/y"}, nil, "", false, nil, orphans.Repair{}, 0},
		"one of each namespace": {[]string{"a/x", "b/y", "a/o", "b/p"}, nil, "", false, []string{"a/o", "b/p"}, orphans.Repair{Deleted: 2}, 0},
		"only in one namespace": {[]string{"a/x", "b/y", "a/o", "b/p"}, nil, "b", false, []string{"b/p"}, orphans.Repair{Deleted: 1}, 0},
		"nobody wants it there": {[]string{"unwanted/o"}, nil, "", false, nil, orphans.Repair{}, 0},
		"it is not to have one": {[]string{"a/x", "a/hidden"}, func(a *asking) {
			a.index.Upsert(pods, resource.Record{Namespace: "a", Name: "hidden", ResourceVersion: 101})
		}, "", false, []string{"a/hidden"}, orphans.Repair{Deleted: 1}, 0},
		"more than may be unasked":     {manyPods(60), nil, "", false, nil, orphans.Repair{Held: 60}, 60},
		"as many, at a person's word":  {manyPods(51), nil, "", true, manyPods(51)[2:], orphans.Repair{Deleted: 51}, 0},
		"a deletion is on its way":     {[]string{"a/o"}, func(a *asking) { a.pending = []string{"a/o"} }, "", false, nil, orphans.Repair{}, 0},
		"deleted while it was listing": {[]string{"a/x", "a/o"}, func(a *asking) { a.holder.meanwhile = a.lose }, "", false, []string{"a/o"}, orphans.Repair{Deleted: 1}, 0},
		"created while it was listing": {[]string{"a/new"}, func(a *asking) {
			a.holder.meanwhile = func() { a.index.Upsert(pods, resource.Record{Namespace: "a", Name: "new", ResourceVersion: 101}) }
		}, "", false, nil, orphans.Repair{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsking(tt.documents...)
			if tt.prepare != nil {
				tt.prepare(a)
			}
			got, err := a.repair(t.Context(), tt.namespace, tt.force)
			if err != nil || got != tt.repair {
				t.Errorf("repaired %+v, %v; want %+v", got, err, tt.repair)
			}
			slices.Sort(a.deleted)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, a.deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if n := a.held(); n != tt.held {
				t.Errorf("%d are held back, want %d", n, tt.held)
			}
		})
	}
}

// lose deletes a/x as the watch does.
func (a *asking) lose() {
	a.index.Delete(pods, "a", "x", 101)
	a.Applied(index.Change{Type: pods, ID: pods.ID("a", "x"), Deleted: true, Record: resource.Record{Namespace: "a", Name: "x"}})
}

// TestFinder_AnotherTypeWasAskedAboutBefore_NoObjectIsMissed: the finder cuts the types of one kind out of those that
// the index gives it.
func TestFinder_AnotherTypeWasAskedAboutBefore_NoObjectIsMissed(t *testing.T) {
	t.Parallel()
	a := newAsking("a/x", "b/y")
	deployments := resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	a.index.Replace(deployments, nil, 100)
	types := slices.Clone(a.index.Types())
	for _, typ := range []resource.Type{deployments, pods} {
		if got, err := a.Repair(t.Context(), typ, repair.Scope{}, false); err != nil || got != (orphans.Repair{}) {
			t.Errorf("asked about %s: %+v, %v, want that nothing is without an object", typ, got, err)
		}
	}
	if len(a.deleted) > 0 {
		t.Errorf("%q were deleted, and their objects are there", a.deleted)
	}
	if got := a.index.Types(); !slices.Equal(got, types) {
		t.Errorf("the index has types %v, want %v as before", got, types)
	}
}

func TestFinder_TypeIsNotWatched_IsNotListed(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.well = false
	if _, err := a.repair(t.Context(), "", true); err == nil || a.holder.asked > 0 {
		t.Errorf("error %v, asked %d times", err, a.holder.asked)
	}
	a.well = true
	a.holder.meanwhile = func() { a.well = false }
	if _, err := a.repair(t.Context(), "", true); err == nil || len(a.deleted) > 0 {
		t.Errorf("its watch broke in the middle: error %v, deleted %v", err, a.deleted)
	}
}

func TestAReceiverThatCannotBeAskedIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.holder.fail = errors.New("HTTP 503")
	for range 3 {
		if _, err := a.repair(t.Context(), "", false); err == nil {
			t.Error("it seems to have answered")
		}
	}
	if a.holder.asked != 1 {
		t.Errorf("it was asked %d times at once, want once", a.holder.asked)
	}
}

func TestFinder_HeldRepair_IsReleasedByParts(t *testing.T) {
	t.Parallel()
	a := newAsking(manyPods(60)...)
	if _, err := a.repair(t.Context(), "", false); err != nil || a.held() != 60 {
		t.Fatalf("%d are held back, %v, want 60", a.held(), err)
	}
	if got, err := a.repair(t.Context(), "a", true); err != nil || got.Deleted != 30 || a.held() != 30 {
		t.Errorf("of one namespace %+v, %v; %d are held back, want 30", got, err, a.held())
	}
	a.holder.documents = slices.DeleteFunc(a.holder.documents, func(d string) bool { return strings.HasPrefix(d, "a/m") })
	if got, err := a.repair(t.Context(), "", true); err != nil || got.Deleted != 30 || a.held() != 0 {
		t.Errorf("of the rest %+v, %v; %d are held back, want none", got, err, a.held())
	}
}

func TestAReceiverThatListsAPartIsBlind(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.holder.blind = true
	if got, err := a.repair(t.Context(), "", false); err != nil || !got.Blind || got.Deleted != 1 {
		t.Errorf("%+v, %v; want that what is listed is judged, and that there may be more", got, err)
	}
}

// search has types whose deletions no other source can tell.
type search struct{ unresolved []resource.Type }

func (s *search) Unresolved() []resource.Type { return slices.Clone(s.unresolved) }

func (s *search) Resolve(t resource.Type) {
	s.unresolved = slices.DeleteFunc(s.unresolved, func(o resource.Type) bool { return o == t })
}

// Of members that know equally little, the first by name asks, and the others accept its result.
func TestFinder_TypeNobodyCanTellOf_IsAskedAboutByOneMember(t *testing.T) {
	for name, tt := range map[string]struct {
		peers    map[string]orphans.Word
		blind    bool
		asked    int
		resolved bool
	}{
		"nobody else is there":           {nil, false, 1, true},
		"a later one knows as little":    {map[string]orphans.Word{"c": {Unknown: []string{"pods.v1"}}}, false, 1, true},
		"an earlier one knows as little": {map[string]orphans.Word{"a": {Unknown: []string{"pods.v1"}}}, false, 0, false},
		"an earlier one knows more":      {map[string]orphans.Word{"a": {}}, false, 1, true},
		"somebody has been told":         {map[string]orphans.Word{"c": {Judged: []string{"pods.v1"}}}, false, 0, true},
		"the list is not whole":          {nil, true, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, s := newAsking("a/x", "b/y"), &search{[]resource.Type{pods, {Version: "v1", Resource: "removed"}}}
				a.holder.blind = tt.blind
				var looked atomic.Bool
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() {
					done <- a.Run(ctx, orphans.Asking{
						Search: s, Self: "b", Peers: func() map[string]orphans.Word { return tt.peers }, Looked: looked.Load,
					})
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				if a.holder.asked > 0 {
					t.Error("the receiver is asked before everything has been looked at")
				}
				looked.Store(true)
				time.Sleep(time.Minute)
				synctest.Wait()
				cancel()
				if err := <-done; err != nil || !a.closed {
					t.Errorf("it ends with %v, closed: %v", err, a.closed)
				}
				if resolved := !slices.Contains(s.unresolved, pods); a.holder.asked != tt.asked || resolved != tt.resolved {
					t.Errorf("asked %d times, resolved: %v; want %d and %v", a.holder.asked, resolved, tt.asked, tt.resolved)
				}
			})
		})
	}
}

// After a request the receiver is left alone for as long as the request took: deliveries go first.
func TestPace_RequestTookLong_NextOneWaitsAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var idle error
		pace := orphans.Pace(func(context.Context) error { return idle })
		begin := time.Now()
		for _, takes := range []time.Duration{2 * time.Second, time.Minute, 0} {
			done, err := pace(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(takes)
			done()
		}
		if took := time.Since(begin); took != 2*time.Second+2*time.Second+time.Minute+5*time.Second {
			t.Errorf("three requests took %v", took)
		}
		idle = errors.New("the receiver has no time")
		if _, err := pace(t.Context()); !errors.Is(err, idle) {
			t.Errorf("%v, want that it is not asked", err)
		}
	})
}
