package wire_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	deployments = resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	pods        = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	roles       = resource.Type{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles", Kind: "ClusterRole"}
)

var upsertFields = map[string][]string{
	"cluster-whisperer": {"id", "namespace", "name", "kind", "apiVersion", "apiGroup", "labels", "annotations", "createdAt"},
	"dot-ai":            {"namespace", "name", "kind", "apiVersion", "labels", "annotations", "createdAt", "updatedAt"},
}

// item builds an upsert. Labels and annotations are pairs of key and value.
func item(t resource.Type, namespace, name string, created time.Time, labels, annotations map[string]string) wire.Item {
	keep, err := resource.NewAnnotationFilter([]string{"*", "*/*"}, nil)
	if err != nil {
		panic(err)
	}
	r := resource.NewRecord(&metav1.ObjectMeta{
		Name: name, Namespace: namespace, CreationTimestamp: metav1.NewTime(created), Labels: labels, Annotations: annotations,
	}, keep)
	return wire.Item{ID: t.ID(namespace, name), Type: t, Namespace: namespace, Name: name, Body: r.Body}
}

func sample() []wire.Item {
	created := time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)
	updated := item(pods, "shop", "cart-0", created, nil, nil)
	updated.Body = resource.NewRecord(&metav1.ObjectMeta{
		CreationTimestamp: metav1.NewTime(created),
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Time:     &metav1.Time{Time: created.Add(time.Hour)},
			FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:metadata":{"f:labels":{}}}`)},
		}},
	}, resource.AnnotationFilter{}).Body
	return []wire.Item{
		item(deployments, "shop", "cart", created,
			map[string]string{"tier": "web", "app": "cart"}, map[string]string{"description": "cart service"}),
		item(roles, "", "system:node", created.Add(-time.Minute), nil, nil),
		updated,
		item(pods, "shop", "emoji", created.Add(1500*time.Millisecond).In(time.FixedZone("", 7200)), map[string]string{"a": ""},
			map[string]string{"description": "quote\" back\\slash\nline\ttab\r \u0000\u001f\u007f <b>&amp; grüße 日本 🚀 \u2028 \xff\xc3 end"}),
		{ID: "shop/v1/Pod/bare", Type: pods, Namespace: "shop", Name: "bare"},
	}
}

// The golden files are the contract that receivers and this program share: a receiver's own test may read them.
func TestBodiesEqualGoldenFiles(t *testing.T) {
	for _, f := range wire.Formats() {
		upserts, err := f.EncodeUpserts(sample())
		if err != nil {
			t.Fatal(err)
		}
		deletes, err := f.EncodeDeletes([]resource.ID{"shop/apps/v1/Deployment/cart", "_cluster/v1/Namespace/shop", "_cluster/rbac.authorization.k8s.io/v1/ClusterRole/system:node"})
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string][]byte{"upserts": upserts, "deletes": deletes} {
			t.Run(f.Name()+" "+what, func(t *testing.T) {
				path := filepath.Join("testdata", f.Name()+"-"+what+".json")
				if *update {
					if err := os.WriteFile(path, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("body differs from %s (-want +got):\n%s", path, diff)
				}
			})
		}
	}
}

func TestGoldenUpsertsReadBackAsWhatWasSent(t *testing.T) {
	text := "quote\" back\\slash\nline\ttab\r \u0000\u001f\u007f <b>&amp; grüße 日本 🚀 \u2028 \uFFFD end"
	want := []document{
		{ID: "shop/apps/v1/Deployment/cart", Namespace: "shop", Name: "cart", Kind: "Deployment", APIVersion: "apps/v1", APIGroup: "apps",
			Labels: map[string]string{"app": "cart", "tier": "web"}, Annotations: map[string]string{"description": "cart service"},
			CreatedAt: "2026-01-15T10:30:00Z", UpdatedAt: "2026-01-15T10:30:00Z"},
		{ID: "_cluster/rbac.authorization.k8s.io/v1/ClusterRole/system:node", Namespace: "_cluster", Name: "system:node", Kind: "ClusterRole",
			APIVersion: "rbac.authorization.k8s.io/v1", APIGroup: "rbac.authorization.k8s.io",
			Labels: map[string]string{}, Annotations: map[string]string{}, CreatedAt: "2026-01-15T10:29:00Z", UpdatedAt: "2026-01-15T10:29:00Z"},
		{ID: "shop/v1/Pod/cart-0", Namespace: "shop", Name: "cart-0", Kind: "Pod", APIVersion: "v1",
			Labels: map[string]string{}, Annotations: map[string]string{}, CreatedAt: "2026-01-15T10:30:00Z", UpdatedAt: "2026-01-15T11:30:00Z"},
		{ID: "shop/v1/Pod/emoji", Namespace: "shop", Name: "emoji", Kind: "Pod", APIVersion: "v1",
			Labels: map[string]string{"a": ""}, Annotations: map[string]string{"description": text},
			CreatedAt: "2026-01-15T10:30:01Z", UpdatedAt: "2026-01-15T10:30:01Z"},
		{ID: "shop/v1/Pod/bare", Namespace: "shop", Name: "bare", Kind: "Pod", APIVersion: "v1",
			Labels: map[string]string{}, Annotations: map[string]string{}, CreatedAt: "0001-01-01T00:00:00Z", UpdatedAt: "0001-01-01T00:00:00Z"},
	}
	for name, fields := range upsertFields {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", name+"-upserts.json"))
			if err != nil {
				t.Fatal(err)
			}
			got, deletes := readBody(t, body, fields)
			want := append([]document(nil), want...)
			for i := range want {
				if name == "dot-ai" {
					want[i].ID, want[i].APIGroup = "", ""
				} else {
					want[i].UpdatedAt = ""
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
			if len(deletes) != 0 {
				t.Errorf("an upsert-only body deletes %v", deletes)
			}
		})
	}
}

func TestGoldenDeletesReadBackAsWhatWasSent(t *testing.T) {
	object := func(namespace, apiVersion, kind, name string) any {
		return map[string]any{"namespace": namespace, "apiVersion": apiVersion, "kind": kind, "name": name}
	}
	want := map[string][]any{
		"cluster-whisperer": {"shop/apps/v1/Deployment/cart", "_cluster/v1/Namespace/shop", "_cluster/rbac.authorization.k8s.io/v1/ClusterRole/system:node"},
		"dot-ai": {object("shop", "apps/v1", "Deployment", "cart"), object("_cluster", "v1", "Namespace", "shop"),
			object("_cluster", "rbac.authorization.k8s.io/v1", "ClusterRole", "system:node")},
	}
	for name, want := range want {
		body, err := os.ReadFile(filepath.Join("testdata", name+"-deletes.json"))
		if err != nil {
			t.Fatal(err)
		}
		upserts, got := readBody(t, body, upsertFields[name])
		if diff := cmp.Diff(want, got); diff != "" || len(upserts) != 0 {
			t.Errorf("%s: %d upserts, deletes (-want +got):\n%s", name, len(upserts), diff)
		}
	}
}

func TestDotAIBodiesAreASCII(t *testing.T) {
	body, err := wire.DotAI().EncodeUpserts(sample())
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }); i >= 0 {
		t.Errorf("byte %d is beyond ASCII: %q", i, body[i:min(len(body), i+20)])
	}
	if !bytes.Contains(body, []byte(`\ud83d\ude80`)) {
		t.Error("the rocket is not written as two surrogates")
	}
}

// The size of a body is known before it is written, exactly, for any content.
func TestUpsertSizesAddUpToTheBody(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, f := range wire.Formats() {
		for range 60 {
			items := make([]wire.Item, 1+random.IntN(12))
			want := f.Overhead()
			for i := range items {
				items[i] = randomItem(random, i)
				want += f.UpsertSize(items[i])
			}
			body, err := f.EncodeUpserts(items)
			if err != nil {
				t.Fatal(err)
			}
			if len(body) != want {
				t.Fatalf("%s: a body of %d items takes %d bytes, announced were %d", f.Name(), len(items), len(body), want)
			}
			readBody(t, body, upsertFields[f.Name()])
		}
	}
}

func randomItem(random *rand.Rand, n int) wire.Item {
	word := func(most int) string {
		b := make([]rune, random.IntN(most))
		for i := range b {
			switch random.IntN(4) {
			case 0:
				b[i] = rune(random.IntN(0x80))
			case 1:
				b[i] = rune(random.IntN(utf8.MaxRune + 1)) // surrogates among them, which become U+FFFD
			default:
				b[i] = rune('a' + random.IntN(26))
			}
		}
		s := string(b)
		if random.IntN(5) == 0 {
			s += "\xe6\x97" // half a character
		}
		return s
	}
	pairs := func(most int) map[string]string {
		m := map[string]string{}
		for range random.IntN(most) {
			m[strings.ToValidUTF8(word(10), "")] = word(200) // the API server lets no other keys in
		}
		return m
	}
	types := []resource.Type{deployments, pods, roles}
	return item(types[random.IntN(3)], "ns-"+word(5), fmt.Sprintf("name-%d-%s", n, word(40)),
		time.Unix(random.Int64N(4e9), 0), pairs(30), pairs(5))
}

func TestSameItemsGiveSameBytes(t *testing.T) {
	for _, f := range wire.Formats() {
		labels := map[string]string{}
		for i := range 40 {
			labels[fmt.Sprintf("key-%d", i)] = "v"
		}
		i := item(pods, "shop", "a", time.Unix(1e9, 0), labels, labels)
		first, err := f.EncodeUpserts([]wire.Item{i})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if again, _ := f.EncodeUpserts([]wire.Item{i}); !bytes.Equal(first, again) {
				t.Fatalf("%s: the same item was written in two ways", f.Name())
			}
		}
	}
}

func TestUnwritableTimesAreWrittenAsNone(t *testing.T) {
	for _, at := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		body, err := wire.ClusterWhisperer().EncodeUpserts([]wire.Item{item(pods, "shop", "a", at, nil, nil)})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := readBody(t, body, upsertFields["cluster-whisperer"])
		if got[0].CreatedAt != "0001-01-01T00:00:00Z" {
			t.Errorf("year %d is written as %s", at.Year(), got[0].CreatedAt)
		}
	}
}

func TestNoItemsIsAnEmptyBody(t *testing.T) {
	for _, f := range wire.Formats() {
		for what, encode := range map[string]func() ([]byte, error){
			"upserts": func() ([]byte, error) { return f.EncodeUpserts(nil) },
			"deletes": func() ([]byte, error) { return f.EncodeDeletes(nil) },
		} {
			body, err := encode()
			if err != nil || string(body) != `{"upserts":[],"deletes":[]}` {
				t.Errorf("%s without %s: %s, %v", f.Name(), what, body, err)
			}
		}
	}
}

func TestFaultyItemIsNamed(t *testing.T) {
	good := item(pods, "shop", "good", time.Unix(0, 0), nil, nil)
	with := func(change func(*wire.Item)) wire.Item {
		i := item(pods, "shop", "bad", time.Unix(0, 0), nil, nil)
		change(&i)
		return i
	}
	tests := map[string]struct {
		bad  wire.Item
		want string
	}{
		"empty ID":      {with(func(i *wire.Item) { i.ID = "" }), "ID is empty"},
		"empty name":    {with(func(i *wire.Item) { i.Name = "" }), "name is empty"},
		"empty kind":    {with(func(i *wire.Item) { i.Type.Kind = "" }), "kind is empty"},
		"empty version": {with(func(i *wire.Item) { i.Type.Version = "" }), "API version is empty"},
		"broken body":   {with(func(i *wire.Item) { i.Body = "\xff" }), "malformed packed body"},
		"repeated ID":   {good, "shop/v1/Pod/good stands twice"},
	}
	for name, tt := range tests {
		for _, f := range wire.Formats() {
			t.Run(f.Name()+" "+name, func(t *testing.T) {
				body, err := f.EncodeUpserts([]wire.Item{good, tt.bad})
				checkItemError(t, body, err, tt.want)
			})
		}
	}
}

func TestFaultyDeleteIsNamed(t *testing.T) {
	tests := map[string]struct {
		formats []wire.Format
		bad     resource.ID
		want    string
	}{
		"empty":    {wire.Formats(), "", "ID is empty"},
		"repeated": {wire.Formats(), "shop/v1/Pod/good", "stands twice"},
		"no ID":    {[]wire.Format{wire.DotAI()}, "shop/Pod", "want namespace/apiVersion/Kind/name"},
	}
	for name, tt := range tests {
		for _, f := range tt.formats {
			t.Run(f.Name()+" "+name, func(t *testing.T) {
				body, err := f.EncodeDeletes([]resource.ID{"shop/v1/Pod/good", tt.bad})
				checkItemError(t, body, err, tt.want)
			})
		}
	}
}

func checkItemError(t *testing.T, body []byte, err error, want string) {
	t.Helper()
	var fault wire.ItemError
	if !errors.As(err, &fault) {
		t.Fatalf("error %v, want an ItemError", err)
	}
	if fault.Index != 1 || !strings.Contains(fault.Reason, want) || body != nil {
		t.Errorf("body %q, item %d: %q, want item 1: ...%s...", body, fault.Index, fault.Reason, want)
	}
}

func TestFormatOfKnowsBothReceivers(t *testing.T) {
	for _, name := range []string{"cluster-whisperer", "dot-ai"} {
		if f, err := wire.FormatOf(name); err != nil || f.Name() != name {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if _, err := wire.FormatOf("dotai"); err == nil || !strings.Contains(err.Error(), `"dotai", want cluster-whisperer or dot-ai`) {
		t.Errorf("a wrong name gives %v", err)
	}
}
