package projection_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

// shown is a receiver behind a projection that holds the objects it is shown.
type shown struct {
	t          *testing.T
	projection *projection.Projection
	holds      map[resource.ID]uint64
	lists      bool // within a list, a state may be shown again
}

func (s *shown) Apply(c index.Change) {
	told := c.Deleted
	c, changed := s.projection.See(c, c.Known)
	switch {
	case !changed:
	case c.Deleted:
		if _, held := s.holds[c.ID]; !held && !s.lists && !told {
			s.t.Errorf("%s is deleted, which the receiver does not have", c.ID)
		}
		delete(s.holds, c.ID)
	default:
		if digest, held := s.holds[c.ID]; held && digest == c.Record.Digest && !s.lists {
			s.t.Errorf("%s is sent without a change", c.ID)
		}
		s.holds[c.ID] = c.Record.Digest
	}
}

// TestAReceiverHoldsWhatItsSelectionMatches runs random histories of objects that come to match, and cease to, by
// their labels, by their annotation and by their controller. The next list shows changes that the watch did not
// show.
func TestAReceiverHoldsWhatItsSelectionMatches(t *testing.T) {
	team, err := resource.ParseSelector("team=shop")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(100) {
		process := resource.Selection{OptOut: resource.DefaultOptOut, KeepMarks: true}
		own := resource.Selection{
			Selector: team, OptOutValue: "search", SkipControlled: seed%2 == 0, Extra: map[string]string{"cluster": "eu"},
		}
		both := process
		both.Selector, both.OptOutValue, both.SkipControlled, both.Extra = own.Selector, own.OptOutValue, own.SkipControlled, own.Extra

		x := index.New(nil)
		receiver := &shown{t: t, projection: newProjection(own), holds: make(map[resource.ID]uint64)}
		x.Listen(receiver)
		random := rand.New(rand.NewPCG(seed, 7))
		objects, version := make(map[string]*metav1.ObjectMeta), uint64(1)
		list := func() {
			receiver.lists = true
			defer func() { receiver.lists = false }()
			var rs []resource.Record
			for i := range 5 {
				if o := objects[strconv.Itoa(i)]; o != nil {
					if r, selected := process.Record(o); selected {
						rs = append(rs, r)
					}
				}
			}
			x.Replace(pods, rs, version)
		}
		list()
		for range 300 {
			version++
			name, seen := strconv.Itoa(random.IntN(5)), random.IntN(5) > 0
			o := objects[name]
			switch {
			case random.IntN(15) == 0:
				list()
				continue
			case o != nil && random.IntN(6) == 0:
				delete(objects, name)
				switch _, selected := process.Record(o); {
				case !seen:
				case selected:
					x.Delete(pods, o.Namespace, name, version)
				default:
					x.Leave(pods, o.Namespace, name, version)
				}
				continue
			case o == nil:
				o = &metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(fmt.Sprint(version)), CreationTimestamp: metav1.NewTime(time.Unix(1, 0))}
				objects[name] = o
			}
			*o = *o.DeepCopy()
			o.ResourceVersion = strconv.FormatUint(version, 10)
			o.Labels = map[string]string{"team": []string{"shop", "other"}[random.IntN(2)], "n": strconv.Itoa(random.IntN(3))}
			o.Annotations = map[string]string{resource.DefaultOptOut: []string{"", "", "true", "search", "a,search"}[random.IntN(5)]}
			if o.OwnerReferences = nil; random.IntN(3) == 0 {
				o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Controller: new(true)}}
			}
			if !seen {
				continue
			}
			if r, selected := process.Record(o); selected {
				x.Upsert(pods, r)
			} else {
				x.Leave(pods, o.Namespace, name, version)
			}
		}
		list()
		want := make(map[resource.ID]uint64)
		hidden := 0
		for _, o := range objects {
			if r, selected := both.Record(o); selected {
				want[pods.ID(o.Namespace, o.Name)] = r.Digest
			} else if _, kept := process.Record(o); kept {
				hidden++
			}
		}
		if fmt.Sprint(want) != fmt.Sprint(receiver.holds) {
			t.Fatalf("seed %d: the receiver holds %v, want %v", seed, receiver.holds, want)
		}
		if got := receiver.projection.Hidden(pods); got != hidden {
			t.Errorf("seed %d: %d objects count as hidden, want %d", seed, got, hidden)
		}
	}
}

// A resync, too, must not offer a receiver an object that is hidden from it.
func TestThrough_ObjectIsHidden_IsNotCurrent(t *testing.T) {
	team, err := resource.ParseSelector("team=shop")
	if err != nil {
		t.Fatal(err)
	}
	x, l := index.New(nil), newProjection(resource.Selection{Selector: team})
	x.Listen(&shown{t: t, projection: l, holds: make(map[resource.ID]uint64)})
	for name, want := range map[string]bool{"shop": true, "other": false} {
		r := resource.NewRecord(&metav1.ObjectMeta{Namespace: "a", Name: name, ResourceVersion: "5", Labels: map[string]string{"team": name}}, resource.AnnotationFilter{})
		x.Upsert(pods, r)
		if got := projection.NewThrough(nil, x, l).IfCurrent(pods, r, func() {}); got != want {
			t.Errorf("%s is current: %v, want %v", name, got, want)
		}
	}
}
