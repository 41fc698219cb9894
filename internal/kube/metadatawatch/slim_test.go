package metadatawatch_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// applied returns an object as kubectl and a controller leave it: 5 KB, of which 400 bytes are kept.
func applied() *metav1.PartialObjectMetadata {
	at := func(minute int) *metav1.Time {
		t := metav1.NewTime(time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC))
		return &t
	}
	yes := true
	o := object("web")
	o.Namespace, o.UID, o.Generation = "team-a", types.UID("d9b2b5c6-2f7a-4f0e-9c3f-0a1b2c3d4e5f"), 4
	o.CreationTimestamp = *at(0)
	o.Labels = map[string]string{"app.kubernetes.io/name": "web", "team": "a"}
	o.Annotations = map[string]string{
		"description": "what customers see", resource.LastApplied: strings.Repeat(`{"spec":1}`, 200),
	}
	o.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "1", Controller: &yes},
	}
	o.Finalizers = []string{"example.com/cleanup"}
	entry := func(manager, subresource, fields string, minute int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", Time: at(minute),
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields), Subresource: subresource,
		}
	}
	spec := `"f:spec":{` + strings.Repeat(`"f:replicas":{},`, 60) + `"f:selector":{}}`
	o.ManagedFields = []metav1.ManagedFieldsEntry{
		entry("kubectl-client-side-apply", "", `{"f:metadata":{"f:labels":{".":{},"f:team":{}}},`+spec+`}`, 2),
		entry("kubectl-edit", "", `{"f:metadata":{"f:annotations":{"f:description":{}}}}`, 1),
		entry("scaler", "scale", `{"f:spec":{"f:template":{"f:labels":{}},"f:replicas":{}}}`, 8),
		entry("kube-controller-manager", "status", `{"f:status":{`+strings.Repeat(`"f:conditions":{},`, 40)+`"f:z":{}}}`, 9),
	}
	return o
}

// whole returns the object of an event as the decoders of client-go decode it.
func whole(t testing.TB, o runtime.Object) *metav1.PartialObjectMetadata {
	t.Helper()
	decoded, err := runtime.Decode(metainternalscheme.Codecs.UniversalDeserializer(), protobufOf(t, o))
	if err != nil {
		t.Fatal(err)
	}
	m, ok := decoded.(*metav1.PartialObjectMetadata)
	if !ok {
		t.Fatalf("decoded a %T", decoded)
	}
	return m
}

// everything keeps all annotations, so that no difference hides.
func everything(t testing.TB) resource.Selection {
	t.Helper()
	all, err := resource.NewAnnotationFilter([]string{"*", "*/*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resource.Selection{Annotations: all, KeepMarks: true, OptOut: resource.DefaultOptOut}
}

// TestSlim_FieldThatNoRecordKeeps_IsSkipped: the fields of a record are kept, all others are skipped.
func TestSlim_FieldThatNoRecordKeeps_IsSkipped(t *testing.T) {
	client, _ := serve(t, asProtobuf(t, "MODIFIED", applied()), false)
	ev, ok := watch(t, client).Next()
	got, is := ev.Object.(*metav1.PartialObjectMetadata)
	if !ok || !is || ev.Type != apiwatch.Modified {
		t.Fatalf("the event is %+v", ev)
	}
	want := whole(t, applied())
	gotRecord, _ := everything(t).Record(&got.ObjectMeta)
	wantRecord, _ := everything(t).Record(&want.ObjectMeta)
	if diff := cmp.Diff(wantRecord, gotRecord); diff != "" {
		t.Errorf("its record (-want +got):\n%s", diff)
	}
	if len(got.ManagedFields) != 1 || got.ManagedFields[0].Time.Minute() != 2 {
		t.Errorf("of managedFields there is %+v, want the newest write of labels or annotations", got.ManagedFields)
	}
	delete(want.Annotations, resource.LastApplied)
	want.ManagedFields = got.ManagedFields
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the object (-want +got):\n%s", diff)
	}
}

// TestAnObjectThatIsNotMetadataIsDecodedAsEver: some servers cannot send metadata alone, and send whole objects.
func TestAnObjectThatIsNotMetadataIsDecodedAsEver(t *testing.T) {
	status := &metav1.Status{Code: 410, Reason: metav1.StatusReasonExpired}
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	client, _ := serve(t, asProtobuf(t, "ERROR", status), false)
	ev, ok := watch(t, client).Next()
	if got, is := ev.Object.(*metav1.Status); !ok || !is || ev.Type != apiwatch.Error || got.Code != 410 {
		t.Errorf("the event is %+v", ev)
	}
}

// TestAnEventCostsFewAllocations: most events change nothing, and a thousand may come in a second.
func TestAnEventCostsFewAllocations(t *testing.T) {
	const bound = 28 // measured: 23, 25 with the race detector, and 62 with the decoders of client-go
	frame := asProtobuf(t, "MODIFIED", applied())
	w := metadatawatch.NewWatch(io.NopCloser(&forever{frame: frame}))
	allocs := testing.AllocsPerRun(200, func() {
		if _, ok := w.Next(); !ok {
			t.Fatal("the watch has ended")
		}
	})
	if allocs > bound {
		t.Errorf("an event of %d bytes costs %v allocations, want %d at most", len(frame), allocs, bound)
	}
}

// forever is a body that repeats a frame.
type forever struct {
	frame []byte
	rest  []byte
}

func (f *forever) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		f.rest = f.frame
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func BenchmarkNext(b *testing.B) {
	frame := asProtobuf(b, "MODIFIED", applied())
	w := metadatawatch.NewWatch(io.NopCloser(&forever{frame: frame}))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := w.Next(); !ok {
			b.Fatal("the watch has ended")
		}
	}
}

// FuzzAnEventIsDecodedAsClientGoDoes: for all input, the record is the same as client-go's, or client-go decodes
// the event.
func FuzzAnEventIsDecodedAsClientGoDoes(f *testing.F) {
	f.Add(asProtobuf(f, "MODIFIED", applied())[4:])
	f.Add(asProtobuf(f, "BOOKMARK", object(""))[4:])
	f.Add([]byte{})
	keep := everything(f)
	gvk := schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: "PartialObjectMetadata"}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var sent metav1.WatchEvent
		err := sent.Unmarshal(bytes.Clone(frame))
		ev, ok := metadatawatch.DecodeMetadata(bytes.Clone(frame))
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("decoded as %+v what is no event: %v", ev, err)
		}
		o, err := runtime.Decode(metainternalscheme.Codecs.UniversalDeserializer(), sent.Object.Raw)
		want, is := o.(*metav1.PartialObjectMetadata)
		got, _ := ev.Object.(*metav1.PartialObjectMetadata)
		if err != nil || !is {
			t.Fatalf("decoded as %s what client-go has as %T, %v", got.Name, o, err)
		}
		if fmt.Sprint(ev.Type) != sent.Type || got.GroupVersionKind() != gvk {
			t.Errorf("the event is %s of %v, want %s of %v", ev.Type, got.GroupVersionKind(), sent.Type, gvk)
		}
		wantRecord, _ := keep.Record(&want.ObjectMeta)
		gotRecord, _ := keep.Record(&got.ObjectMeta)
		if diff := cmp.Diff(wantRecord, gotRecord); diff != "" {
			t.Errorf("its record (-want +got):\n%s", diff)
		}
	})
}
