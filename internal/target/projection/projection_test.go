package projection_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// seenBy is a listener that keeps the changes that a receiver would be told.
type seenBy struct {
	projection *projection.Projection // nil: without one
	all        []index.Change
}

func (s *seenBy) Apply(c index.Change) {
	changed := true
	if s.projection != nil {
		c, changed = s.projection.See(c, c.Known)
	}
	if changed {
		s.all = append(s.all, c)
	}
}

func newProjection(own resource.Selection) *projection.Projection { return projection.New(&own) }

func keeping(t *testing.T, include ...string) resource.AnnotationFilter {
	t.Helper()
	f, err := resource.NewAnnotationFilter(include, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// inOrder returns the changes, those of one list that are deletions sorted: a map has no order.
func (s *seenBy) inOrder() []index.Change {
	oneList := func(a, b index.Change) bool {
		return a.Deleted && b.Deleted && a.Record.ResourceVersion == b.Record.ResourceVersion
	}
	for first := 0; first < len(s.all); {
		next := first + 1
		for next < len(s.all) && oneList(s.all[first], s.all[next]) {
			next++
		}
		slices.SortFunc(s.all[first:next], func(a, b index.Change) int { return strings.Compare(string(a.ID), string(b.ID)) })
		first = next
	}
	return s.all
}

// worlds are two indexes of the same objects. One keeps everything, and is looked at through a projection. The
// other keeps only the objects that the projection lets through.
type worlds struct {
	wide, narrow             *index.Index
	wideFilter, narrowFilter resource.AnnotationFilter
	projection               *projection.Projection
	through, direct          seenBy
}

func newWorlds(t *testing.T) *worlds {
	w := &worlds{wide: index.New(nil), narrow: index.New(nil), wideFilter: keeping(t, "description", "owner"), narrowFilter: keeping(t, "description")}
	w.projection = newProjection(resource.Selection{Annotations: w.narrowFilter})
	w.through.projection = w.projection
	w.wide.Listen(&w.through)
	w.narrow.Listen(&w.direct)
	return w
}

func (w *worlds) upsert(o *metav1.ObjectMeta) {
	w.wide.Upsert(pods, resource.NewRecord(o, w.wideFilter))
	w.narrow.Upsert(pods, resource.NewRecord(o, w.narrowFilter))
}

func (w *worlds) list(objects map[string]*metav1.ObjectMeta, version uint64) {
	var wide, narrow []resource.Record
	for i := range 5 {
		if o := objects[strconv.Itoa(i)]; o != nil {
			wide, narrow = append(wide, resource.NewRecord(o, w.wideFilter)), append(narrow, resource.NewRecord(o, w.narrowFilter))
		}
	}
	w.wide.Replace(pods, wide, version)
	w.narrow.Replace(pods, narrow, version)
}

// TestAProjectionShowsWhatANarrowerIndexWouldTell is the whole promise. A receiver behind a projection is always
// told exactly the changes that it would be told if no other receiver wanted more.
func TestAProjectionShowsWhatANarrowerIndexWouldTell(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w := newWorlds(t)
			objects := make(map[string]*metav1.ObjectMeta)
			version := uint64(1)
			w.list(objects, version)
			for range 200 {
				version++
				name, seen := strconv.Itoa(random.IntN(5)), random.IntN(4) > 0 // The next list shows unseen changes.
				switch o := objects[name]; {
				case random.IntN(10) == 0:
					w.list(objects, version)
				case o == nil:
					objects[name] = &metav1.ObjectMeta{
						Namespace: "shop", Name: name, UID: types.UID(strconv.FormatUint(version, 10)), CreationTimestamp: metav1.NewTime(time.Unix(1, 0)),
						Annotations: map[string]string{"owner": "ann"},
					}
				case random.IntN(5) == 0:
					delete(objects, name)
					if seen {
						w.wide.Delete(pods, "shop", name, version)
						w.narrow.Delete(pods, "shop", name, version)
					}
					continue
				default:
					o.Annotations = map[string]string{}
					for _, key := range []string{"description", "owner"} {
						if n := random.IntN(3); n > 0 {
							o.Annotations[key] = strconv.Itoa(n)
						}
					}
				}
				if o := objects[name]; o != nil && seen {
					o.ResourceVersion = strconv.FormatUint(version, 10)
					w.upsert(o)
				} else if o != nil {
					o.ResourceVersion = strconv.FormatUint(version, 10)
				}
			}
			if diff := cmp.Diff(w.direct.inOrder(), w.through.inOrder()); diff != "" {
				t.Fatal(diff)
			}
			for _, o := range objects {
				r := resource.NewRecord(o, w.wideFilter)
				n := resource.NewRecord(o, w.narrowFilter)
				if got, want := projection.NewThrough(nil, w.wide, w.projection).IfCurrent(pods, r, func() {}), w.narrow.IfCurrent(pods, n, func() {}); got != want {
					t.Errorf("%s is current: %v, want %v", o.Name, got, want)
				}
			}
		})
	}
}

// TestAProjectionRemembersOnlyWhatDiffers checks the bound of its memory.
func TestAProjectionRemembersOnlyWhatDiffers(t *testing.T) {
	w := newWorlds(t)
	for i := range 100 {
		o := &metav1.ObjectMeta{Namespace: "shop", Name: strconv.Itoa(i), ResourceVersion: strconv.Itoa(i + 1), Annotations: map[string]string{"description": "x"}}
		if i < 10 {
			o.Annotations["owner"] = "ann"
		}
		w.upsert(o)
	}
	if n := w.projection.Len(); n != 10 {
		t.Errorf("%d objects are remembered, want the 10 of which less is seen", n)
	}
	for i := range 100 {
		w.wide.Delete(pods, "shop", strconv.Itoa(i), 1000)
	}
	if n := w.projection.Len(); n != 0 {
		t.Errorf("%d objects are remembered that are gone", n)
	}
}

// TestAProjectionThatComesLateLosesNoChange begins when the index knows all objects already.
func TestAProjectionThatComesLateLosesNoChange(t *testing.T) {
	w := newWorlds(t)
	o := &metav1.ObjectMeta{Namespace: "shop", Name: "cart", ResourceVersion: "5", Annotations: map[string]string{"description": "x", "owner": "ann"}}
	w.upsert(o)
	change := func(seen *projection.Projection, key, value string) bool {
		s := seenBy{projection: seen}
		defer w.wide.Listen(&s)()
		o.Annotations[key] = value
		v, _ := strconv.Atoi(o.ResourceVersion)
		o.ResourceVersion = strconv.Itoa(v + 1)
		w.upsert(o)
		return len(s.all) > 0
	}
	if !change(newProjection(resource.Selection{Annotations: w.narrowFilter}), "description", "y") {
		t.Error("a change of what the receiver sees was not told")
	}
	if !change(newProjection(resource.Selection{Annotations: w.narrowFilter}), "owner", "bob") {
		t.Error("whether it is a change of what the receiver sees is not known, and it was not told")
	}
	shown := newProjection(resource.Selection{Annotations: w.narrowFilter})
	shown.Show(pods, resource.NewRecord(o, w.wideFilter))
	if change(shown, "owner", "eve") {
		t.Error("a change that the receiver does not see was told")
	}
	if !change(shown, "description", "z") {
		t.Error("a change of what the receiver sees was not told")
	}
}
