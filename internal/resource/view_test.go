package resource_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func filter(t *testing.T, include, exclude []string) resource.AnnotationFilter {
	t.Helper()
	f, err := resource.NewAnnotationFilter(include, exclude)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAViewIsTheRecordOfANarrowerFilter makes the record in both ways. A receiver's view through its filter equals,
// to the byte, the record of a process that keeps nothing else.
func TestAViewIsTheRecordOfANarrowerFilter(t *testing.T) {
	keep := filter(t, []string{"description", "*/description", "example.com/*"}, nil)
	annotations := map[string]string{"description": "Cart", "example.com/owner": "ann", "example.com/description": "the cart", "team.io/description": ""}
	for name, narrow := range map[string]struct{ include, exclude []string }{
		"default":  {[]string{"description", "*/description"}, nil},
		"one":      {[]string{"example.com/owner"}, nil},
		"excluded": {[]string{"description", "*/description", "example.com/*"}, []string{"example.com/description"}},
		"none":     {nil, nil},
		"all":      {[]string{"description", "*/description", "example.com/*"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := filter(t, narrow.include, narrow.exclude)
			for _, labels := range []map[string]string{nil, {"app": "cart", "tier": "web"}} {
				for _, annotations := range []map[string]string{nil, annotations, {"example.com/owner": "ann"}} {
					o := object()
					o.Labels, o.Annotations = labels, annotations
					got, want := f.View(resource.NewRecord(o, keep)), resource.NewRecord(o, f)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("labels %v, annotations %v:\n%s", labels, annotations, diff)
					}
				}
			}
		})
	}
}

func TestAViewOfARecreatedObjectIsAnother(t *testing.T) {
	keep, f := filter(t, []string{"*"}, nil), filter(t, nil, nil)
	o := object()
	o.Annotations = map[string]string{"note": "x"}
	first := f.View(resource.NewRecord(o, keep))
	o.UID = "another"
	if second := f.View(resource.NewRecord(o, keep)); second.Digest == first.Digest {
		t.Error("the view of an object and that of its successor have one digest")
	}
}

func TestAViewOfWhatHasNoBodyIsItself(t *testing.T) {
	f := filter(t, nil, nil)
	for _, r := range []resource.Record{{}, {Name: "gone", ResourceVersion: 7}, {Name: "odd", Body: "\x01\xff\xff\xff", Digest: 3}} {
		if diff := cmp.Diff(r, f.View(r)); diff != "" {
			t.Error(diff)
		}
	}
}

func BenchmarkView(b *testing.B) {
	keep, err := resource.NewAnnotationFilter([]string{"*", "*/*"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	var none resource.AnnotationFilter
	r := resource.NewRecord(&metav1.ObjectMeta{Name: "cart", Labels: map[string]string{"app": "cart"}, Annotations: map[string]string{"a": "1", "b/c": "2"}}, keep)
	b.ReportAllocs()
	for b.Loop() {
		_ = none.View(r)
	}
}
