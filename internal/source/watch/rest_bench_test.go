package watch_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/httpclient"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// servesWatches is set in the process that is the API server of BenchmarkWatchesAtRest.
const servesWatches = "SERVES_WATCHES"

// TestServeWatches is that API server, and no test.
func TestServeWatches(t *testing.T) {
	if os.Getenv(servesWatches) == "" {
		t.Skip("it is the server of a benchmark")
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(threeObjects))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	if _, err := os.Stdout.WriteString(s.URL + "\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // The read fails when the benchmark ends.
	s.CloseClientConnections()
}

// serveWatches starts that API server, and returns its address.
func serveWatches(b *testing.B) string {
	b.Helper()
	server := exec.Command(os.Args[0], "-test.run=^TestServeWatches$")
	server.Env = append(os.Environ(), servesWatches+"=true")
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = server.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// threeObjects streams three objects of the requested type, then a bookmark, and nothing more.
func threeObjects(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	send := func(kind string, o *metav1.PartialObjectMetadata) {
		raw, err := o.Marshal()
		if err != nil {
			panic(err)
		}
		object := &k8sruntime.Unknown{TypeMeta: k8sruntime.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, Raw: raw}
		packed, err := object.Marshal()
		if err != nil {
			panic(err)
		}
		event := &metav1.WatchEvent{Type: kind, Object: k8sruntime.RawExtension{Raw: append([]byte("k8s\x00"), packed...)}}
		if raw, err = event.Marshal(); err != nil {
			panic(err)
		}
		head := []byte{byte(len(raw) >> 24), byte(len(raw) >> 16), byte(len(raw) >> 8), byte(len(raw))}
		_, _ = w.Write(append(head, raw...))
	}
	if !strings.Contains(r.URL.RawQuery, "watch=") {
		fullPage(w, r)
		return
	}
	for i := range 3 {
		send("ADDED", &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("o", i), UID: "u", ResourceVersion: fmt.Sprint(10 + i)}})
	}
	send("BOOKMARK", &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "20", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}})
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// pagesOfAll is how many pages of 500 objects a list has.
const pagesOfAll = 40

// fullPage answers with one of many pages of 500 objects, 3.9 KB each, most of it managedFields.
func fullPage(w http.ResponseWriter, r *http.Request) {
	at, _ := strconv.Atoi(r.URL.Query().Get("continue")) // The first page has no token, so at is 0.
	list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "900000"}}
	if at+1 < pagesOfAll {
		list.Continue = strconv.Itoa(at + 1)
	}
	rng := rand.New(rand.NewPCG(uint64(at), 1))
	for i := range 500 {
		var fields strings.Builder
		for range 50 {
			fmt.Fprintf(&fields, `"k:{\"containerPort\":%d,\"protocol\":\"TCP\"}":{".":{}},`, rng.IntN(60000))
		}
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: fmt.Sprintf("service-%d-%05d", at, i), UID: types.UID(fmt.Sprintf("%016x", rng.Uint64())), ResourceVersion: strconv.Itoa(rng.IntN(900000)),
			Labels:        map[string]string{"app.kubernetes.io/name": "service", "app.kubernetes.io/instance": strconv.Itoa(i)},
			Annotations:   map[string]string{"description": "what customers see"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "controller", FieldsV1: metav1.NewFieldsV1("{" + fields.String() + "}")}},
		}})
	}
	raw, err := list.Marshal()
	if err != nil {
		panic(err)
	}
	object := &k8sruntime.Unknown{TypeMeta: k8sruntime.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}, Raw: raw}
	if raw, err = object.Marshal(); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	raw = append([]byte("k8s\x00"), raw...)
	if r.Header.Get("Accept-Encoding") != "gzip" {
		_, _ = w.Write(raw) // If it fails, the client reports the error.
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(raw) // If it fails, the client reports the error.
	_ = z.Close()
}

// BenchmarkVerifyingList measures the cost of a verification's list for a replica with 20,000 objects. It counts
// the processor time of this process alone, including the garbage collector at its pace at rest.
func BenchmarkVerifyingList(b *testing.B) {
	url := serveWatches(b)
	config := &rest.Config{Host: url, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
	httpclient.Configure(config, logr.Discard())
	client, err := metadatawatch.New(config)
	if err != nil {
		b.Fatal(err)
	}
	lister, x := watch.NewLister(client, resource.Selection{OptOut: resource.DefaultOptOut}, watch.NamespaceFilter{}), index.New(nil)
	var known []resource.Record
	if _, err := lister.Pages(b.Context(), pods, watch.ListOptions{}, func(rs []resource.Record) error {
		known = append(known, rs...)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	x.Replace(pods, known, 900000)
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	want, _ := x.Sum(pods)
	runtime.GC()
	began := used(b)
	b.ReportAllocs()
	for b.Loop() {
		var sum index.Sum
		if _, err := lister.States(b.Context(), pods, func(_ uint64, states []watch.State) error {
			for _, s := range states {
				sum.Add(s.Namespace, s.Name, s.Version)
			}
			return nil
		}); err != nil || !sum.Same(want) {
			b.Fatalf("the list sums up to %+v, want %+v: %v", sum, want, err)
		}
	}
	b.ReportMetric(float64((used(b)-began).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// used returns the processor time of this process.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWatchesAtRest measures the memory of a watched type with three objects: stacks and heap of the
// Reflector, its stream, the HTTP/2 request and the index. It watches a thousand types. WATCHES_PROFILE=file
// writes a profile of the heap to it, and the goroutines to file.stacks.
func BenchmarkWatchesAtRest(b *testing.B) {
	url := serveWatches(b)
	for b.Loop() {
		watchesAtRest(b, url)
	}
}

// watchesAtRest opens the watches and measures.
func watchesAtRest(b *testing.B, url string) {
	config := &rest.Config{Host: url, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
	httpclient.Configure(config, logr.Discard())
	client, err := metadatawatch.New(config)
	if err != nil {
		b.Fatal(err)
	}
	const types = 1000
	x := index.New(nil)
	m := watch.New(client, x, watch.Options{})
	heap, stacks := restingMemory()
	var all []resource.Type
	for i := range types {
		all = append(all, resource.Type{Group: fmt.Sprintf("group%d.example.com", i%35), Version: "v1", Resource: fmt.Sprintf("resource%ds", i), Kind: fmt.Sprintf("Resource%d", i), Namespaced: true})
	}
	m.Set(all)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()                                  // It ends with ctx; waited for below.
	for x.Len() < 3*types || runtime.NumGoroutine() > 2*types+types/10 { // The goroutines of the start have ended.
		select {
		case <-time.After(50 * time.Millisecond):
		case <-b.Context().Done():
			return
		}
	}
	heapNow, stacksNow := restingMemory()
	b.ReportMetric(float64(heapNow-heap)/types/1024, "heap-KiB/watch")
	b.ReportMetric(float64(stacksNow-stacks)/types/1024, "stack-KiB/watch")
	b.ReportMetric(float64(runtime.NumGoroutine())/types, "goroutines/watch")
	profile(b)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// restingMemory returns the memory of heap and stacks at rest. It collects several times, because a stack
// shrinks only by half at each garbage collection.
func restingMemory() (heap, stacks uint64) {
	for range 5 {
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

func profile(b *testing.B) {
	b.Helper()
	path := os.Getenv("WATCHES_PROFILE")
	if path == "" {
		return
	}
	for name, of := range map[string]string{"heap": path, "goroutine": path + ".stacks"} {
		f, err := os.Create(of)
		if err != nil {
			b.Fatal(err)
		}
		if err := pprof.Lookup(name).WriteTo(f, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
