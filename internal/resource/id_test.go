package resource_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestTypeSpellsItsNamesAsKubectlDoes(t *testing.T) {
	type names struct{ APIVersion, GroupResource, String string }
	tests := map[string]struct {
		typ  resource.Type
		want names
	}{
		"core group":      {pods, names{"v1", "pods", "pods.v1"}},
		"group":           {deployments, names{"apps/v1", "deployments.apps", "deployments.v1.apps"}},
		"group with dots": {policies, names{"networking.k8s.io/v1", "networkpolicies.networking.k8s.io", "networkpolicies.v1.networking.k8s.io"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := names{tt.typ.APIVersion(), tt.typ.GroupResource(), tt.typ.String()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
	if want, got := (schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}), deployments.GVR(); got != want {
		t.Errorf("GVR() = %v, want %v", got, want)
	}
}

func TestIDIsWhatReceiversKnow(t *testing.T) {
	namespaces := resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	tests := map[string]struct {
		typ             resource.Type
		namespace, name string
		want            resource.ID
	}{
		"namespaced, with group":            {deployments, "default", "nginx", "default/apps/v1/Deployment/nginx"},
		"namespaced, core group":            {pods, "shop", "cart-0", "shop/v1/Pod/cart-0"},
		"cluster-scoped, core group":        {namespaces, "", "default", "_cluster/v1/Namespace/default"},
		"cluster-scoped, with group":        {gadgets, "", "g", "_cluster/a.example.com/v1/Gadget/g"},
		"a cluster-scoped type has no room": {gadgets, "ignored", "g", "_cluster/a.example.com/v1/Gadget/g"},
		"longer than most":                  {pods, "shop", strings.Repeat("x", 253), resource.ID("shop/v1/Pod/" + strings.Repeat("x", 253))},
		"a name with a colon":               {gadgets, "", "system:x", "_cluster/a.example.com/v1/Gadget/system:x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.typ.ID(tt.namespace, tt.name); got != tt.want {
				t.Errorf("ID() = %q, want %q", got, tt.want)
			}
			if got := tt.typ.IDHash(tt.namespace, tt.name); got != tt.want.Hash() {
				t.Errorf("IDHash() = %x, want %x", got, tt.want.Hash())
			}
		})
	}
}

func TestHashOrderAsksForEachHashOnce(t *testing.T) {
	hashes, asked := []uint64{7, 1 << 63, 0, 7}, 0
	got := resource.HashOrder(len(hashes), func(i int) uint64 { asked++; return hashes[i] })
	for at, i := range got[1:] {
		if hashes[got[at]] > hashes[i] {
			t.Errorf("order %v, want ascending hashes of %v", got, hashes)
		}
	}
	if sorted := slices.Sorted(slices.Values(got)); asked != 4 || !slices.Equal(sorted, []int{0, 1, 2, 3}) {
		t.Errorf("asked %d times for %v, want each position once", asked, got)
	}
}

func TestParseID(t *testing.T) {
	tests := map[string]struct {
		id   string
		want resource.Parts
	}{
		"with group": {"default/apps/v1/Deployment/nginx",
			resource.Parts{Namespace: "default", APIVersion: "apps/v1", Kind: "Deployment", Name: "nginx"}},
		"core group": {"_cluster/v1/Namespace/default",
			resource.Parts{Namespace: "_cluster", APIVersion: "v1", Kind: "Namespace", Name: "default"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resource.ParseID(tt.id)
			if err != nil {
				t.Fatalf("ParseID(%q): %v", tt.id, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseID(%q) (-want +got):\n%s", tt.id, diff)
			}
		})
	}
}

func TestParseIDRefusesWhatIsNone(t *testing.T) {
	for _, id := range []string{"", "/", "nginx", "a/b/c", "a/b/c/d/e/f", "/v1/Pod/x", "a//Pod/x", "a/v1//x", "a/v1/Pod/", "a/apps//Pod/x"} {
		if parts, err := resource.ParseID(id); err == nil {
			t.Errorf("ParseID(%q) = %+v, want an error", id, parts)
		} else if !strings.Contains(err.Error(), "default/apps/v1/Deployment/nginx") {
			t.Errorf("error %q does not say what would be right", err)
		}
	}
}

// FuzzParseID checks that parsing loses nothing: the parts of a text join to the same text.
func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"default/apps/v1/Deployment/nginx", "_cluster/v1/Namespace/default", "a/b/c", "a//b/c", "////", "é/v1/K/n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := resource.ParseID(s)
		if err != nil {
			if p != (resource.Parts{}) {
				t.Errorf("ParseID(%q) = %+v beside an error", s, p)
			}
			return
		}
		if got := p.ID(); string(got) != s {
			t.Errorf("ParseID(%q).ID() = %q", s, got)
		}
	})
}

// FuzzTypeID checks that an ID keeps its components apart: an ID parses to the parts that were joined.
func FuzzTypeID(f *testing.F) {
	f.Add("apps", "v1", "Deployment", "default", "nginx")
	f.Add("", "v1", "Namespace", "", "default")
	f.Fuzz(func(t *testing.T, group, version, kind, namespace, name string) {
		if strings.Contains(group+version+kind+namespace+name, "/") || version == "" || kind == "" || name == "" {
			t.Skip("the API server has no such names")
		}
		typ := resource.Type{Group: group, Version: version, Resource: "r", Kind: kind, Namespaced: namespace != ""}
		got, err := resource.ParseID(string(typ.ID(namespace, name)))
		if err != nil {
			t.Fatal(err)
		}
		if namespace == "" {
			namespace = "_cluster"
		}
		want := resource.Parts{Namespace: namespace, APIVersion: typ.APIVersion(), Kind: kind, Name: name}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parts (-want +got):\n%s", diff)
		}
	})
}

func TestCompareTypesOrdersByGroupResourceVersion(t *testing.T) {
	newer := deployments
	newer.Version = "v2"
	want := []resource.Type{events, pods, gadgets, deployments, newer, newEvents, widgets}
	slices.SortFunc(want, resource.CompareTypes)
	got := []string{}
	for _, typ := range want {
		got = append(got, typ.String())
	}
	if diff := cmp.Diff([]string{
		"events.v1", "pods.v1", "gadgets.v1.a.example.com", "deployments.v1.apps", "deployments.v2.apps",
		"events.v1.events.k8s.io", "widgets.v1alpha1.example.com",
	}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func BenchmarkTypeID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = deployments.ID("default", "nginx-7c5ddbdf54")
	}
}
