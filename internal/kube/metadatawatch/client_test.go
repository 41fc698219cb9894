package metadatawatch_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

func object(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "7"},
	}
}

// asProtobuf and asJSON encode an event as servers do.
func asProtobuf(t testing.TB, kind string, o runtime.Object) []byte {
	t.Helper()
	e := metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: protobufOf(t, o)}}
	body, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func protobufOf(t testing.TB, o runtime.Object) []byte {
	t.Helper()
	var raw strings.Builder
	if err := protobuf.NewSerializer(metainternalscheme.Scheme, metainternalscheme.Scheme).Encode(o, &raw); err != nil {
		t.Fatal(err)
	}
	return []byte(raw.String())
}

func asJSON(t testing.TB, kind string, o runtime.Object) []byte {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: raw}})
	if err != nil {
		t.Fatal(err)
	}
	return append(body, '\n')
}

// serve answers watches with a body, and keeps them open if hold is set. It returns a client and a function that
// returns the next request.
func serve(t *testing.T, body []byte, hold bool) (metadata.Interface, func() *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 10)
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		if hold {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		}
	}))
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	client, err := metadatawatch.New(&rest.Config{Host: server.URL, UserAgent: "a test", QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return client, func() *http.Request { return <-requests }
}

func watch(t *testing.T, client metadata.Interface) *metadatawatch.Watch {
	t.Helper()
	seconds := int64(30)
	got, err := client.Resource(deployments).Watch(t.Context(), metav1.ListOptions{ResourceVersion: "5", TimeoutSeconds: &seconds})
	if err != nil {
		t.Fatal(err)
	}
	w, ok := got.(*metadatawatch.Watch)
	if !ok {
		t.Fatalf("a watch is a %T", got)
	}
	t.Cleanup(w.Stop)
	return w
}

// names returns the names in the events of a watch until it ends, and the last event.
func names(w *metadatawatch.Watch) (all []string, last apiwatch.Event) {
	for {
		ev, ok := w.Next()
		if !ok {
			return all, last
		}
		last = ev
		if o, ok := ev.Object.(*metav1.PartialObjectMetadata); ok {
			all = append(all, string(ev.Type)+" "+o.Name+" "+o.ResourceVersion)
		}
	}
}

func TestEventsOfBothEncodingsAreRead(t *testing.T) {
	want := []string{"ADDED a 7", "MODIFIED b 7", "BOOKMARK  7"}
	for name, encode := range map[string]func(testing.TB, string, runtime.Object) []byte{"protobuf": asProtobuf, "JSON": asJSON} {
		t.Run(name, func(t *testing.T) {
			body := append(encode(t, "ADDED", object("a")), encode(t, "MODIFIED", object("b"))...)
			client, asked := serve(t, append(body, encode(t, "BOOKMARK", object(""))...), false)
			got, _ := names(watch(t, client))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			r := asked()
			if r.URL.Path != "/apis/apps/v1/deployments" || r.URL.Query().Get("watch") != "true" || r.URL.Query().Get("resourceVersion") != "5" ||
				r.URL.Query().Get("timeoutSeconds") != "30" {
				t.Errorf("asked for %s", r.URL)
			}
			if r.Header.Get("Accept-Encoding") != "identity" || r.UserAgent() != "a test" || !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
				t.Errorf("asked with %v", r.Header)
			}
		})
	}
}

func TestANamespaceAndTheCoreGroupAreAskedForByTheirPaths(t *testing.T) {
	client, asked := serve(t, nil, false)
	w, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace("team-a").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	if got := asked().URL.Path; got != "/api/v1/namespaces/team-a/pods" {
		t.Errorf("asked for %s", got)
	}
}

// TestWatch_FrameIsNoEvent_EndsWithAnError sends a proxy's page, a frame of gigabytes, an event of no type, and an
// object of no kind.
func TestWatch_FrameIsNoEvent_EndsWithAnError(t *testing.T) {
	for name, body := range map[string][]byte{
		"a page": []byte("<html><body>Sign in</body></html>"), "a huge frame": {0x7f, 0xff, 0xff, 0xff, 1, 2, 3},
		"no type": asJSON(t, "RENAMED", object("a")), "no kind": []byte(`{"type":"ADDED","object":{"kind":"Nothing"}}`), "no JSON": []byte(`{"type":]`),
		"no protobuf": {0, 0, 0, 3, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, body, true)
			all, last := names(watch(t, client))
			if len(all) > 0 || last.Type != apiwatch.Error || !apierrors.IsInternalError(apierrors.FromObject(last.Object)) {
				t.Errorf("events %v, the last %+v; want one that is an internal error", all, last)
			}
		})
	}
}

// TestAConnectionThatEndsIsTheEndOfTheWatch: the connection ends between events, or in the middle of one.
func TestAConnectionThatEndsIsTheEndOfTheWatch(t *testing.T) {
	whole := asProtobuf(t, "ADDED", object("a"))
	for name, body := range map[string][]byte{"between": whole, "in a head": slices.Concat(whole, []byte{0, 0}), "in an event": slices.Concat(whole, whole[:20])} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, body, false)
			all, last := names(watch(t, client))
			if !cmp.Equal([]string{"ADDED a 7"}, all) || last.Type == apiwatch.Error {
				t.Errorf("events %v, the last %+v", all, last)
			}
		})
	}
}

func TestStopEndsANextThatWaits(t *testing.T) {
	client, _ := serve(t, asProtobuf(t, "ADDED", object("a")), true)
	w := watch(t, client)
	if ev, ok := w.Next(); !ok || ev.Type != apiwatch.Added {
		t.Fatalf("the first event is %+v", ev)
	}
	time.AfterFunc(20*time.Millisecond, w.Stop)
	if ev, ok := w.Next(); ok {
		t.Errorf("a stopped watch brings %+v", ev)
	}
	w.Stop()
}

func TestWatch_ResultChan_BringsTheSameEvents(t *testing.T) {
	client, _ := serve(t, asProtobuf(t, "ADDED", object("a")), true)
	w := watch(t, client)
	if ev := <-w.ResultChan(); ev.Type != apiwatch.Added {
		t.Errorf("the channel brings %+v", ev)
	}
	w.Stop()
	if ev, open := <-w.ResultChan(); open {
		t.Errorf("a stopped watch brings %+v", ev)
	}
}

// TestARefusalIsTheAPIServersError: the error is a status, and not a text.
func TestARefusalIsTheAPIServersError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}`)
	}))
	defer server.Close()
	client, err := metadatawatch.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Resource(deployments).Watch(t.Context(), metav1.ListOptions{})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("the error is %v, want one of an expired version", err)
	}
	server.CloseClientConnections()
}
