package resource_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func at(minute int) metav1.Time {
	return metav1.NewTime(time.Date(2026, 2, 20, 10, minute, 0, 0, time.UTC))
}

// object is a Deployment as the API server returns its metadata.
func object() *metav1.ObjectMeta {
	return &metav1.ObjectMeta{
		Namespace: "shop", Name: "cart", UID: "7d1b7e4e-3c3f-4c52-9d0e-0a8c1c0f7a55", ResourceVersion: "4711",
		CreationTimestamp: at(0),
		Labels:            map[string]string{"app.kubernetes.io/name": "cart", "app.kubernetes.io/part-of": "shop", "tier": "web"},
		Annotations: map[string]string{
			"description": "Keeps what customers want to buy", "deployment.kubernetes.io/revision": "3",
			lastApplied: `{"data":{"password":"c2VjcmV0"}}`,
		},
	}
}

func record(t testing.TB, o *metav1.ObjectMeta) resource.Record {
	t.Helper()
	return resource.NewRecord(o, newAnnotations(t, resource.DefaultAnnotations(), nil))
}

func content(t testing.TB, r resource.Record) resource.Content {
	t.Helper()
	c, err := r.Body.Content()
	if err != nil {
		t.Fatalf("unpacking: %v", err)
	}
	return c
}

func TestRecordHoldsWhatIsSentAndNothingElse(t *testing.T) {
	r := record(t, object())
	if r.Namespace != "shop" || r.Name != "cart" || r.ResourceVersion != 4711 {
		t.Errorf("record is %s/%s at %d, want shop/cart at 4711", r.Namespace, r.Name, r.ResourceVersion)
	}
	want := resource.Content{
		Labels:      map[string]string{"app.kubernetes.io/name": "cart", "app.kubernetes.io/part-of": "shop", "tier": "web"},
		Annotations: map[string]string{"description": "Keeps what customers want to buy"},
		CreatedAt:   at(0).Time,
		UpdatedAt:   at(0).Time,
	}
	if diff := cmp.Diff(want, content(t, r)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if strings.Contains(string(r.Body), "c2VjcmV0") {
		t.Error("a secret is in the body")
	}
}

func TestEmptyObjectHasEmptyContent(t *testing.T) {
	want := resource.Content{}
	if diff := cmp.Diff(want, content(t, record(t, &metav1.ObjectMeta{}))); diff != "" {
		t.Errorf("content of an object without metadata (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, content(t, resource.Record{})); diff != "" {
		t.Errorf("content of the zero record (-want +got):\n%s", diff)
	}
}

func TestTimesAreUTCAndWholeSeconds(t *testing.T) {
	o := object()
	o.CreationTimestamp = metav1.NewTime(time.Date(2026, 2, 20, 12, 0, 0, 999_999_999, time.FixedZone("", 2*3600)))
	c := content(t, record(t, o))
	if c.CreatedAt.Location() != time.UTC || c.UpdatedAt.Location() != time.UTC {
		t.Errorf("times are in %s and %s, want UTC whatever the machine's zone is", c.CreatedAt.Location(), c.UpdatedAt.Location())
	}
	if got, want := c.CreatedAt.Format(time.RFC3339Nano), "2026-02-20T10:00:00Z"; got != want {
		t.Errorf("CreatedAt = %s, want %s", got, want)
	}
	o.CreationTimestamp = metav1.NewTime(time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC))
	if got, want := content(t, record(t, o)).CreatedAt.Format(time.RFC3339), "1969-07-20T20:17:40Z"; got != want {
		t.Errorf("CreatedAt = %s, want %s", got, want)
	}
}

func TestDigestChangesWithTheDocument(t *testing.T) {
	digest := record(t, object()).Digest
	tests := map[string]struct {
		change func(*metav1.ObjectMeta)
		want   bool // whether the digest changes
	}{
		"label added":             {func(o *metav1.ObjectMeta) { o.Labels["new"] = "" }, true},
		"label removed":           {func(o *metav1.ObjectMeta) { delete(o.Labels, "tier") }, true},
		"label value":             {func(o *metav1.ObjectMeta) { o.Labels["tier"] = "Web" }, true},
		"label value to key":      {func(o *metav1.ObjectMeta) { delete(o.Labels, "tier"); o.Labels["tierweb"] = "" }, true},
		"annotation value":        {func(o *metav1.ObjectMeta) { o.Annotations["description"] = "" }, true},
		"annotation added":        {func(o *metav1.ObjectMeta) { o.Annotations["example.com/description"] = "x" }, true},
		"annotation made a label": {func(o *metav1.ObjectMeta) { delete(o.Annotations, "description"); o.Labels["description"] = "Keeps" }, true},
		"recreated":               {func(o *metav1.ObjectMeta) { o.UID = "another" }, true},
		"created at another time": {func(o *metav1.ObjectMeta) { o.CreationTimestamp = at(1) }, true},
		"annotation not kept":     {func(o *metav1.ObjectMeta) { o.Annotations["deployment.kubernetes.io/revision"] = "4" }, false},
		"last-applied":            {func(o *metav1.ObjectMeta) { o.Annotations[lastApplied] = "{}" }, false},
		"resourceVersion":         {func(o *metav1.ObjectMeta) { o.ResourceVersion = "4712" }, false},
		"generation":              {func(o *metav1.ObjectMeta) { o.Generation = 7 }, false},
		"finalizer":               {func(o *metav1.ObjectMeta) { o.Finalizers = []string{"x"} }, false},
		"owner":                   {func(o *metav1.ObjectMeta) { o.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }, false},
		"being deleted":           {func(o *metav1.ObjectMeta) { now := at(9); o.DeletionTimestamp = &now }, false},
		"managed fields":          {func(o *metav1.ObjectMeta) { o.ManagedFields = []metav1.ManagedFieldsEntry{wrote(9, "", labelFields)} }, false},
		"annotation beyond the cut": {func(o *metav1.ObjectMeta) {
			o.Annotations["description"] += strings.Repeat(" ", 2000)
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := object()
			tt.change(o)
			if got := record(t, o).Digest != digest; got != tt.want {
				t.Errorf("digest changed is %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRecordIsTheSameOnEveryReplica guards the digest and the packing: replicas compare digests, and equal states
// need equal Bodies, although maps have no order. The literal also catches an accidental change of either. Such a
// change would make all objects look changed after an upgrade, and cost an embedding of each.
func TestRecordIsTheSameOnEveryReplica(t *testing.T) {
	first := record(t, object())
	if want := uint64(0x199b6aa5a966799d); first.Digest != want {
		t.Errorf("digest = %#x, want %#x", first.Digest, want)
	}
	for range 100 {
		if again := record(t, object()); again != first {
			t.Fatalf("the same object has records %+v and %+v", first, again)
		}
	}
}

// TestRecordOfManyLabels has more labels than fit into NewRecord's room on the stack.
func TestRecordOfManyLabels(t *testing.T) {
	o := object()
	for i := range 100 {
		o.Labels[fmt.Sprintf("label-%d", i)] = strings.Repeat("v", i)
	}
	if diff := cmp.Diff(o.Labels, content(t, record(t, o)).Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestRecordSharesNoMemoryWithTheObject(t *testing.T) {
	o := object()
	r := record(t, o)
	if unsafe.StringData(r.Name) == unsafe.StringData(o.Name) || unsafe.StringData(r.Namespace) == unsafe.StringData(o.Namespace) {
		t.Error("the record's names are the object's own, and keep all that was decoded with it")
	}
	o.Labels["tier"] = "changed"
	if got := content(t, r).Labels["tier"]; got != "web" {
		t.Errorf("label in the record is %q after the object was changed, want web", got)
	}
}

const (
	labelFields      = `{"f:metadata":{"f:labels":{".":{},"f:tier":{}}}}`
	annotationFields = `{"f:metadata":{"f:annotations":{"f:description":{}}}}`
	specFields       = `{"f:spec":{"f:replicas":{}}}`
)

func wrote(minute int, subresource, fields string) metav1.ManagedFieldsEntry {
	when := at(minute)
	return metav1.ManagedFieldsEntry{Manager: "m", Time: &when, Subresource: subresource, FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}
}

func TestUpdatedAt(t *testing.T) {
	tests := map[string]struct {
		fields     []metav1.ManagedFieldsEntry
		wantMinute int
	}{
		"nobody wrote":             {nil, 0},
		"labels":                   {[]metav1.ManagedFieldsEntry{wrote(5, "", labelFields)}, 5},
		"annotations":              {[]metav1.ManagedFieldsEntry{wrote(5, "", annotationFields)}, 5},
		"the newest, in any order": {[]metav1.ManagedFieldsEntry{wrote(5, "", labelFields), wrote(8, "", annotationFields), wrote(6, "", labelFields)}, 8},
		"spec alone":               {[]metav1.ManagedFieldsEntry{wrote(5, "", specFields)}, 0},
		"labels of a pod template": {[]metav1.ManagedFieldsEntry{wrote(5, "", `{"f:spec":{"f:template":{"f:metadata":{"f:labels":{}}}}}`)}, 5},
		"label selector alone":     {[]metav1.ManagedFieldsEntry{wrote(5, "", `{"f:spec":{"f:selector":{"f:matchLabels":{}}}}`)}, 0},
		"status":                   {[]metav1.ManagedFieldsEntry{wrote(5, "status", labelFields)}, 0},
		"before the creation":      {[]metav1.ManagedFieldsEntry{wrote(-5, "", labelFields)}, 0},
		"no time, no fields":       {[]metav1.ManagedFieldsEntry{{FieldsV1: &metav1.FieldsV1{Raw: []byte(labelFields)}}, {Time: &metav1.Time{}}}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := object()
			o.ManagedFields = tt.fields
			if got, want := content(t, record(t, o)).UpdatedAt, at(tt.wantMinute).Time; !got.Equal(want) {
				t.Errorf("UpdatedAt = %s, want %s", got, want)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]uint64{
		"1": 1, "18446744073709551615": 18446744073709551615, "": 0, "0": 0, "-1": 0, "1a": 0, "18446744073709551616": 0,
	} {
		if got := resource.ParseVersion(s); got != want {
			t.Errorf("ParseVersion(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestContentRefusesWhatIsNoBody(t *testing.T) {
	body := string(record(t, object()).Body)
	for n := 1; n < len(body); n++ {
		if _, err := resource.Body(body[:n]).Content(); err == nil {
			t.Errorf("the first %d of %d bytes pass for a body", n, len(body))
		}
	}
	if _, err := resource.Body(body + "x").Content(); err == nil {
		t.Error("a body with a byte too much passes for one")
	}
	huge := string(binary.AppendUvarint([]byte{0}, 1<<62))
	if _, err := resource.Body(huge).Content(); err == nil {
		t.Error("a body that claims 2^62 labels passes for one")
	}
}

// FuzzContent unpacks bodies that this package did not pack. Unpacking ends, and either fails with an empty result
// or returns something.
func FuzzContent(f *testing.F) {
	f.Add(string(record(f, object()).Body))
	f.Add(string(record(f, &metav1.ObjectMeta{}).Body))
	f.Add("")
	f.Add("\x00\x02\x01a\x01b")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := resource.Body(s).Content()
		if err != nil && !cmp.Equal(c, resource.Content{}) {
			t.Errorf("Content() = %+v beside an error", c)
		}
	})
}

// FuzzRecord checks that a body returns the labels and annotations that went into it. Two objects have one digest
// exactly if they have one content.
func FuzzRecord(f *testing.F) {
	f.Add("a=1,b=2", "description=x", int64(1_771_581_600), int64(0), "uid")
	f.Add("", "description=\xff", int64(-62135596800), int64(-62135596800), "")
	f.Add("=,==", "x/description="+strings.Repeat("é", 600), int64(1), int64(2), "u")
	f.Fuzz(func(t *testing.T, labels, annotations string, created, updated int64, uid string) {
		const year1, year10000 = -62135596800, 253402300800
		if min(created, updated) < year1 || max(created, updated) >= year10000 {
			t.Skip("no time of an API server")
		}
		keep := newAnnotations(t, resource.DefaultAnnotations(), nil)
		when := metav1.NewTime(time.Unix(updated, 0))
		o := &metav1.ObjectMeta{
			UID: types.UID(uid), CreationTimestamp: metav1.NewTime(time.Unix(created, 0)), Labels: pairs(labels), Annotations: pairs(annotations),
			ManagedFields: []metav1.ManagedFieldsEntry{{Time: &when, FieldsV1: &metav1.FieldsV1{Raw: []byte(labelFields)}}},
		}
		r := resource.NewRecord(o, keep)
		want := resource.Content{CreatedAt: time.Unix(created, 0).UTC(), UpdatedAt: time.Unix(max(created, updated), 0).UTC(), Labels: o.Labels}
		for k, v := range o.Annotations {
			if keep.Match(k) {
				if want.Annotations == nil {
					want.Annotations = map[string]string{}
				}
				want.Annotations[k] = keep.Cut(v)
			}
		}
		if diff := cmp.Diff(want, content(t, r)); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		o.ManagedFields = nil
		if got := resource.NewRecord(o, keep).Digest; got != r.Digest {
			t.Error("the digest depends on when the object was updated")
		}
		for _, k := range slices.Sorted(maps.Keys(o.Labels)) {
			o.Labels[k] += "+"
			if got := resource.NewRecord(o, keep).Digest; got == r.Digest {
				t.Errorf("the digest does not depend on label %q", k)
			}
			o.Labels[k] = strings.TrimSuffix(o.Labels[k], "+")
		}
	})
}

// pairs reads k=v,k=v; nil when there is none.
func pairs(s string) map[string]string {
	var m map[string]string
	for pair := range strings.SplitSeq(s, ",") {
		if k, v, found := strings.Cut(pair, "="); found {
			if m == nil {
				m = map[string]string{}
			}
			m[k] = v
		}
	}
	return m
}

// BenchmarkNewRecord also reports the memory of an object that waits to be sent, and the part that remains when
// only its identity is kept.
func BenchmarkNewRecord(b *testing.B) {
	keep := newAnnotations(b, resource.DefaultAnnotations(), nil)
	few := &metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns-674b8bbfcf-x7k2p", UID: "u", CreationTimestamp: at(0), ResourceVersion: "1"}
	typical := object()
	typical.ManagedFields = []metav1.ManagedFieldsEntry{wrote(1, "", labelFields), wrote(2, "", specFields), wrote(3, "status", specFields)}
	large := object()
	for i := range 40 {
		large.Labels[fmt.Sprintf("example.com/label-%d", i)] = "value"
		large.Annotations[fmt.Sprintf("example-%d.com/description", i)] = strings.Repeat("text ", 100)
	}
	for name, o := range map[string]*metav1.ObjectMeta{"few": few, "typical": typical, "large": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r resource.Record
			for b.Loop() {
				r = resource.NewRecord(o, keep)
			}
			b.ReportMetric(float64(len(r.Namespace)+len(r.Name)+len(r.Body)+int(unsafe.Sizeof(r))), "bytes/dirty-object")
			b.ReportMetric(float64(len(r.Namespace)+len(r.Name)), "bytes/name")
		})
	}
}

func BenchmarkContent(b *testing.B) {
	body := record(b, object()).Body
	b.ReportAllocs()
	for b.Loop() {
		if _, err := body.Content(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestARecordAllocatesLittle bounds the cost of decoding an event after the protobuf: body and name. Objects share the
// string of their namespace.
func TestARecordAllocatesLittle(t *testing.T) {
	keep := newAnnotations(t, resource.DefaultAnnotations(), nil)
	o := object()
	if n := testing.AllocsPerRun(1000, func() { _ = resource.NewRecord(o, keep) }); n > 2 {
		t.Errorf("a record allocates %.1f times, want 2", n)
	}
}
