package metadatawatch_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"strings"
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

// states lists from a server with one answer, and checks that the server gets want requests.
func states(t *testing.T, contentType string, answer []byte, keep resource.Selection, want int64) (*metadatawatch.Page, error) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := asked.Add(1) == 1
		if r.URL.Path != "/apis/apps/v1/namespaces/a/deployments" || r.URL.Query().Get("limit") != "500" {
			t.Errorf("it asks for %s", r.URL)
		}
		if encoding := r.Header.Get("Accept-Encoding"); first && encoding != "identity" {
			t.Errorf("it takes %q", encoding)
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(answer) // If it fails, the client reports the error.
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
	var page metadatawatch.Page
	err = of.ListStates(t.Context(), metav1.ListOptions{Limit: 500}, keep, &page)
	if n := asked.Load(); n != want {
		t.Errorf("the server was asked %d times, want %d", n, want)
	}
	return &page, err
}

// marked are objects of which a selection looks at labels, an annotation, or an owner.
func marked() *metav1.PartialObjectMetadataList {
	hidden, other, owned, vast := applied(), applied(), applied(), applied()
	hidden.Namespace, hidden.Name, hidden.ResourceVersion = "a", "hidden", "12"
	hidden.Annotations = map[string]string{"z": "1", resource.DefaultOptOut: "true"}
	other.Namespace, other.Name, other.ResourceVersion, other.Labels = "b", "other", "no number", map[string]string{"tier": "test"}
	owned.Namespace, owned.Name, owned.ResourceVersion = "b", "owned", "13"
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", Controller: new(bool)}}
	*owned.OwnerReferences[0].Controller = true
	vast.Namespace, vast.Name, vast.ResourceVersion = "a", "vast", "14"
	vast.Annotations = map[string]string{"large": strings.Repeat("x", 200<<10)} // more than a buffer holds
	return listOf(applied(), hidden, other, owned, vast, object("x"))
}

// TestListStates_SelectsAsRecordsDo: for every field that a selection reads, and every encoding of a server.
func TestListStates_SelectsAsRecordsDo(t *testing.T) {
	selector, err := resource.ParseSelector("tier!=test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(marked())
	if err != nil {
		t.Fatal(err)
	}
	for name, keep := range map[string]resource.Selection{
		"everything": {}, "opt-out": {OptOut: resource.DefaultOptOut}, "selector": {Selector: selector}, "marks": {KeepMarks: true},
		"uncontrolled": {SkipControlled: true}, "all of it": {OptOut: resource.DefaultOptOut, Selector: selector, SkipControlled: true, KeepMarks: true},
	} {
		var want []metadatawatch.State
		for _, o := range marked().Items {
			if r, ok := keep.Record(&o.ObjectMeta); ok {
				want = append(want, metadatawatch.State{Namespace: r.Namespace, Name: r.Name, Version: r.ResourceVersion})
			}
		}
		for contentType, answer := range map[string][]byte{
			"application/vnd.kubernetes.protobuf": protobufOf(t, marked()), "application/json": text,
		} {
			t.Run(name+" "+contentType, func(t *testing.T) {
				got, err := states(t, contentType, answer, keep, 1)
				if err != nil {
					t.Fatal(err)
				}
				if got.ResourceVersion != "40" || got.Continue != "more" {
					t.Errorf("the list is %+v", got.ListMeta)
				}
				if diff := cmp.Diff(want, got.States); diff != "" {
					t.Errorf("states (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestListStates_AnythingElse_IsLeftToClientGo: other answers are, for example, those that are cut short.
func TestListStates_AnythingElse_IsLeftToClientGo(t *testing.T) {
	const protobuf = "application/vnd.kubernetes.protobuf"
	all := resource.Selection{}
	whole := protobufOf(t, listOf(applied(), object("x")))
	empty := []byte("\x1a\x00\x22\x00") // the list is complete without these two fields
	for cut := range bytes.TrimSuffix(whole, empty) {
		var page metadatawatch.Page
		if page.Read(bufio.NewReader(bytes.NewReader(whole[:cut])), all) == nil {
			t.Errorf("of %d bytes of %d it makes a list of %d", cut, len(whole), len(page.States))
		}
	}
	if page, err := states(t, protobuf, whole[:len(whole)/2], all, 2); err == nil {
		t.Errorf("of half an answer it makes a list of %d", len(page.States))
	}
	if page, err := states(t, protobuf, nil, all, 2); err == nil {
		t.Errorf("of no answer it makes a list of %d", len(page.States))
	}
	other := &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
	if page, err := states(t, protobuf, protobufOf(t, other), all, 2); err == nil {
		t.Errorf("of a Status it makes a list of %d", len(page.States))
	}
	if page, err := states(t, "application/json", []byte(`{"kind":"List"}`), all, 2); err == nil && len(page.States) > 0 {
		t.Errorf("of another kind it makes a list of %d", len(page.States))
	}
}

// TestListStates_APageIsUsedAgain: the strings of the first answer stay the same, and the second answer has
// nothing of the first.
func TestListStates_APageIsUsedAgain(t *testing.T) {
	var page metadatawatch.Page
	read := func(list *metav1.PartialObjectMetadataList) []metadatawatch.State {
		t.Helper()
		if err := page.Read(bufio.NewReader(bytes.NewReader(protobufOf(t, list))), resource.Selection{}); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(page.States)
	}
	first := read(marked())
	kept := fmt.Sprint(first)
	bare := &metav1.PartialObjectMetadataList{TypeMeta: listOf().TypeMeta}
	if second := read(bare); len(second) > 0 || page.Continue != "" || page.ResourceVersion != "" {
		t.Errorf("an empty list is %+v with %+v", page.ListMeta, second)
	}
	read(listOf(object("another"), object("and one more"), object("and another one")))
	if got := fmt.Sprint(first); got != kept {
		t.Errorf("the states were %s and are %s", kept, got)
	}
}

// TestListStates_CostsNoAllocationForAnObject: the number of allocations does not grow with the page. Only one
// piece of memory, for all names, does.
func TestListStates_CostsNoAllocationForAnObject(t *testing.T) {
	list := listOf()
	for i := range 500 {
		o := applied()
		o.Name = fmt.Sprint("web-", i)
		list.Items = append(list.Items, *o)
	}
	answer := protobufOf(t, list)
	var page metadatawatch.Page
	body, r := bytes.NewReader(answer), bufio.NewReaderSize(nil, 64<<10)
	keep := resource.Selection{OptOut: resource.DefaultOptOut}
	allocs := testing.AllocsPerRun(10, func() {
		body.Reset(answer)
		r.Reset(body)
		if err := page.Read(r, keep); err != nil || len(page.States) != 500 {
			t.Fatalf("%d states: %v", len(page.States), err)
		}
	})
	if allocs > 10 {
		t.Errorf("a page of 500 objects costs %v allocations, want 10 at most", allocs)
	}
}

// FuzzAListIsDecodedAsClientGoDoes: each list that is decoded here is the same as one decoded by client-go.
func FuzzAListIsDecodedAsClientGoDoes(f *testing.F) {
	f.Add(protobufOf(f, listOf(applied(), object("x"))))
	f.Add(protobufOf(f, listOf()))
	f.Add([]byte("k8s\x00"))
	keep := resource.Selection{OptOut: resource.DefaultOptOut, SkipControlled: true}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if bytes.HasPrefix(answer, []byte("{")) {
			return // encoding/json decodes JSON.
		}
		want, err := runtime.Decode(metainternalscheme.Codecs.UniversalDeserializer(), answer)
		var page metadatawatch.Page
		if page.Read(bufio.NewReaderSize(bytes.NewReader(answer), 64), keep) != nil || err != nil {
			return // client-go refuses or takes a list that is decoded only in part.
		}
		whole, is := want.(*metav1.PartialObjectMetadataList)
		if !is {
			t.Fatalf("decoded %+v, and client-go %+v", page.States, want)
		}
		var theirs metadatawatch.Page
		theirs.Take(whole, keep)
		if !cmp.Equal(theirs.ListMeta, page.ListMeta) || !slices.Equal(theirs.States, page.States) {
			t.Fatalf("decoded %+v with %+v, and client-go %+v with %+v", page.ListMeta, page.States, theirs.ListMeta, theirs.States)
		}
	})
}

// BenchmarkList measures the cost of listing 500 objects for a comparison: with client-go, and by their states.
// It includes TLS and the garbage collector of a replica with 30 MB.
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
	_, _ = z.Write(plain) // Writes to a buffer do not fail.
	_ = z.Close()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
		answer := plain
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			answer = packed.Bytes()
		}
		_, _ = w.Write(answer) // If it fails, the client reports the error.
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
	var page metadatawatch.Page
	states := func(ctx context.Context) (int, error) {
		err := lister.ListStates(ctx, metav1.ListOptions{}, resource.Selection{OptOut: resource.DefaultOptOut}, &page)
		return len(page.States), err
	}
	whole := func(ctx context.Context) (int, error) {
		list, err := of.List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		return len(list.Items), nil
	}
	for _, way := range []struct {
		name string
		list func(context.Context) (int, error)
	}{{"client-go", whole}, {"states", states}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				if n, err := way.list(b.Context()); err != nil || n != 500 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-began)/float64(500*b.N)/1000, "cpu-µs/object")
		})
	}
	ballast[0]++ // The ballast is alive until here.
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
