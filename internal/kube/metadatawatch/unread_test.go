package metadatawatch_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/net/http2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
)

// TestNew_StreamIsNotRead_ServerMaySend256KiB reads the window that the client allows for each stream. With the
// default of 4 MiB, each list under way at a start held that much more memory while the processor was busy.
func TestNew_StreamIsNotRead_ServerMaySend256KiB(t *testing.T) {
	t.Parallel()
	window := make(chan uint32, 1)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { // closes c when it returns
			defer close(window)
			if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
				return
			}
			frame, err := http2.NewFramer(c, c).ReadFrame()
			if settings, ok := frame.(*http2.SettingsFrame); err == nil && ok {
				size, _ := settings.Value(http2.SettingInitialWindowSize)
				window <- size
			}
		},
	}
	server.TLS = &tls.Config{NextProtos: []string{"h2"}}
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := metadatawatch.New(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := client.Resource(deployments).Watch(t.Context(), metav1.ListOptions{}); err == nil {
		w.Stop() // the server has closed the connection
	}
	if got := <-window; got != 256<<10 {
		t.Errorf("a server may send %d bytes of a stream that nobody reads, want %d", got, 256<<10)
	}
}
