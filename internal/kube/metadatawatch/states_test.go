package metadatawatch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func listOf(some ...*metav1.PartialObjectMetadata) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
		ListMeta: metav1.ListMeta{ResourceVersion: "40", Continue: "more"},
	}
	for _, o := range some {
		list.Items = append(list.Items, *o)
	}
	return list
}

// states lists what a server answers, which is asked so many times.
func states(t *testing.T, contentType string, answer []byte, want int64) (*metav1.PartialObjectMetadataList, error) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/apis/apps/v1/namespaces/a/deployments" || r.URL.Query().Get("limit") != "500" {
			t.Errorf("it asks for %s", r.URL)
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(answer) // The client says what it lacks.
	}))
	defer s.Close()
	client, err := metadatawatch.New(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	of, ok := client.Resource(deployments).Namespace("a").(metadatawatch.StateLister)
	if !ok {
		t.Fatal("it lists no states")
	}
	list, err := of.ListStates(t.Context(), metav1.ListOptions{Limit: 500}, new(bytes.Buffer))
	if n := asked.Load(); n != want {
		t.Errorf("the server was asked %d times, want %d", n, want)
	}
	return list, err
}

// TestListStates_AsMetadata_HasWhatSelectsAnObject: and in which state it is.
func TestListStates_AsMetadata_HasWhatSelectsAnObject(t *testing.T) {
	text, err := json.Marshal(listOf(applied(), object("x")))
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string][]byte{
		"application/vnd.kubernetes.protobuf": protobufOf(t, listOf(applied(), object("x"))),
		"application/json":                    text,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := states(t, name, answer, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got.ResourceVersion != "40" || got.Continue != "more" || len(got.Items) != 2 {
				t.Fatalf("the list is %+v with %d objects", got.ListMeta, len(got.Items))
			}
			type state struct {
				Namespace, Name, Version string
				Labels, Annotations      map[string]string
				Owners                   []metav1.OwnerReference
			}
			of := func(o metav1.ObjectMeta) state {
				delete(o.Annotations, resource.LastApplied)
				return state{o.Namespace, o.Name, o.ResourceVersion, o.Labels, o.Annotations, o.OwnerReferences}
			}
			for i, want := range []*metav1.PartialObjectMetadata{applied(), object("x")} {
				if diff := cmp.Diff(of(want.ObjectMeta), of(got.Items[i].ObjectMeta)); diff != "" {
					t.Errorf("object %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestListStates_AnythingElse_IsLeftToClientGo: an answer that is cut short among it.
func TestListStates_AnythingElse_IsLeftToClientGo(t *testing.T) {
	const protobuf = "application/vnd.kubernetes.protobuf"
	cut := protobufOf(t, listOf(applied(), object("x")))
	if list, err := states(t, protobuf, cut[:len(cut)/2], 2); err == nil {
		t.Errorf("of half an answer it makes a list of %d", len(list.Items))
	}
	if list, err := states(t, protobuf, nil, 2); err == nil {
		t.Errorf("of no answer it makes a list of %d", len(list.Items))
	}
	other := &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
	if list, err := states(t, protobuf, protobufOf(t, other), 2); err == nil {
		t.Errorf("of a Status it makes a list of %d", len(list.Items))
	}
	if list, err := states(t, "application/json", []byte(`{"kind":"List"}`), 2); err == nil && len(list.Items) > 0 {
		t.Errorf("of another kind it makes a list of %d", len(list.Items))
	}
}

// FuzzAListIsDecodedAsClientGoDoes: whatever is decoded here is what the decoders of client-go would have made of it.
func FuzzAListIsDecodedAsClientGoDoes(f *testing.F) {
	f.Add(protobufOf(f, listOf(applied(), object("x"))))
	f.Add(protobufOf(f, listOf()))
	f.Add([]byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		want, err := runtime.Decode(metainternalscheme.Codecs.UniversalDeserializer(), answer)
		list, ok := metadatawatch.DecodeStates(bytes.Clone(answer))
		if !ok || err != nil {
			return // What is decoded in part is for client-go to refuse, or to take.
		}
		whole, is := want.(*metav1.PartialObjectMetadataList)
		if !is || len(whole.Items) != len(list.Items) || whole.ResourceVersion != list.ResourceVersion || whole.Continue != list.Continue {
			t.Fatalf("decoded %+v, and client-go %+v", list, want)
		}
		for i := range list.Items {
			a, b := &whole.Items[i], &list.Items[i]
			if a.Name != b.Name || a.Namespace != b.Namespace || a.ResourceVersion != b.ResourceVersion {
				t.Fatalf("object %d is %s/%s at %s, and to client-go %s/%s at %s", i, b.Namespace, b.Name, b.ResourceVersion, a.Namespace, a.Name, a.ResourceVersion)
			}
		}
	})
}

// BenchmarkList is what 500 objects cost that are listed to be compared, TLS and the collector of a replica with 30 MB
// included: as client-go lists them, and by their states.
func BenchmarkList(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	ballast := make([]byte, 30<<20)
	list := listOf()
	for i := range 500 {
		o := applied()
		o.Name, o.UID = fmt.Sprint("web-", i), types.UID(fmt.Sprintf("%08x-2f7a-4f0e-9c3f-0a1b2c3d4e5f", i*2654435761))
		list.Items = append(list.Items, *o)
	}
	plain := protobufOf(b, list)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(plain) // A buffer takes everything.
	_ = z.Close()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
		answer := plain
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			answer = packed.Bytes()
		}
		_, _ = w.Write(answer) // The client says what it lacks.
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	client, err := metadatawatch.New(&rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1})
	if err != nil {
		b.Fatal(err)
	}
	of := client.Resource(deployments)
	lister, ok := of.(metadatawatch.StateLister)
	if !ok {
		b.Fatal("it lists no states")
	}
	var page bytes.Buffer
	states := func(ctx context.Context, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
		return lister.ListStates(ctx, opts, &page)
	}
	for _, way := range []struct {
		name string
		list func(context.Context, metav1.ListOptions) (*metav1.PartialObjectMetadataList, error)
	}{{"client-go", of.List}, {"states", states}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				if got, err := way.list(b.Context(), metav1.ListOptions{}); err != nil || len(got.Items) != 500 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(500*b.N)/1000, "cpu-µs/object")
		})
	}
	ballast[0]++ // It is alive until here.
}

// processorTime is that of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
