package httpclient_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/httpclient"
)

// TestWatchesAreNotCompressedAndWarningsAreLoggedOnce asks a server that records its requests.
func TestWatchesAreNotCompressedAndWarningsAreLoggedOnce(t *testing.T) {
	asked := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Query().Get("watch")] = r.Header.Get("Accept-Encoding")
		w.Header().Add("Warning", `299 - "v1 Endpoints is deprecated"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadataList","metadata":{},"items":[]}`))
	}))
	defer server.Close()
	var logged []string
	config := &rest.Config{Host: server.URL}
	httpclient.Configure(config, funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{}))
	for range 2 { // two clients of one process
		client := metadata.NewForConfigOrDie(metadata.ConfigFor(config)).Resource(schema.GroupVersionResource{Version: "v1", Resource: "endpoints"})
		if _, err := client.List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		w, err := client.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.Stop()
	}
	if diff := cmp.Diff(map[string]string{"": "gzip", "true": "identity"}, asked); diff != "" {
		t.Errorf("encodings that lists and watches ask for (-want +got):\n%s", diff)
	}
	want := []string{`"level"=0 "msg"="The API server warns" "warning"="v1 Endpoints is deprecated"`}
	if diff := cmp.Diff(want, logged); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}
