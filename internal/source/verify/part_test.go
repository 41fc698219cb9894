package verify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestPart_ListDiffers_TheIndexIsEqualAfterwards(t *testing.T) {
	withOne(t, 0, []string{"m0"}, func(t *testing.T, o *one) {
		o.lose(func() {
			o.put(pods, "new")
			o.put(pods, "p1")
			o.delete(pods, "p2")
		})
		p := o.verifier.Part(pods, nil)
		for page := range slices.Chunk(o.all(pods), 3) {
			p.Page(page)
		}
		changed, gone, err := p.Settle(t.Context(), o.version)
		var names []string
		for _, r := range changed {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"new", "p1"}) || !slices.Equal(gone, []resource.ID{pods.ID("a", "p2")}) {
			t.Errorf("Settle returned %v, %v and %v", names, gone, err)
		}
		o.wantRight("after the part")
	})
}

// An event that the watch brings a moment after the list is no difference, nor is a later change.
func TestPart_WatchIsALittleBehind_NothingIsRepaired(t *testing.T) {
	withOne(t, 0, []string{"m0"}, func(t *testing.T, o *one) {
		p := o.verifier.Part(pods, nil)
		o.lose(func() { o.put(pods, "p0") }) // The index is behind.
		list, version := o.all(pods), o.version
		p.Page(list)
		o.delete(pods, "p5")
		time.AfterFunc(time.Second, func() { o.index.Upsert(pods, list[0]) })
		changed, gone, err := p.Settle(t.Context(), version)
		if _, relists, _ := o.did(); err != nil || len(changed)+len(gone) > 0 || relists != 0 {
			t.Errorf("Settle returned %v, %v and %v, and types were listed anew %d times", changed, gone, err, relists)
		}
	})
}

func TestPart_OtherNamespacesAreNoDifference(t *testing.T) {
	withOne(t, 0, []string{"m0"}, func(t *testing.T, o *one) {
		list := o.all(pods)
		o.index.Upsert(pods, resource.Record{Namespace: "b", Name: "x", ResourceVersion: o.version, Digest: 1})
		p := o.verifier.Part(pods, func(namespace, _ string) bool { return namespace == "a" })
		p.Page(list)
		if changed, gone, err := p.Settle(t.Context(), o.version); err != nil || len(changed)+len(gone) > 0 {
			t.Errorf("Settle returned %v, %v and %v", changed, gone, err)
		}
	})
}
