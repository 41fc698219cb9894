package httpclient_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/httpclient"
)

// event is a status update as an API server sends it: 4 KB, most of it managedFields, which differ little
// between events.
func event(rng *rand.Rand) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "deployment-%d uid-%x version-%d", rng.IntN(1000), rng.Uint64(), rng.Uint32())
	for i := range 40 {
		fmt.Fprintf(&b, `f:spec{f:template{f:containers{k:{"name":"c%d"}:{.:{},f:image:{},f:resources:{},f:port-%d:{}}}}}`, i, rng.IntN(1000))
	}
	return []byte(b.String())
}

// server streams events to a watch, compressed if the request asks for it. The buffers are made beforehand, so
// the server costs next to nothing either way.
func server(b *testing.B, events [][]byte, more <-chan struct{}) *httptest.Server {
	b.Helper()
	var packed [][]byte
	var buffer bytes.Buffer
	z := gzip.NewWriter(&buffer)
	for _, e := range events {
		_, _ = z.Write(e) // Writes to a buffer do not fail.
		_ = z.Flush()
		packed = append(packed, bytes.Clone(buffer.Bytes()))
		buffer.Reset()
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		frames := events
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			frames = packed
			w.Header().Set("Content-Encoding", "gzip")
		}
		for i, f := range frames {
			if i == 1 {
				select {
				case <-more:
				case <-r.Context().Done():
					return
				}
			}
			_, _ = w.Write(f) // If it fails, the client has gone, and the context has ended.
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	b.Cleanup(s.Close)
	return s
}

// open opens a watch, and reads its first event.
func open(b *testing.B, transport http.RoundTripper, url string, first int) io.ReadCloser {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/api/v1/pods?watch=true", nil)
	if err != nil {
		b.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, response.Body, int64(first)); err != nil {
		b.Fatal(err)
	}
	return response.Body
}

// BenchmarkWatch measures the cost of compressed and plain watches: processor time for each event, and memory
// for each open watch at rest. The time includes TLS, and next to nothing for the server.
func BenchmarkWatch(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	transports := map[string]func(*httptest.Server) http.RoundTripper{
		"compressed": func(s *httptest.Server) http.RoundTripper { return s.Client().Transport },
		"plain": func(s *httptest.Server) http.RoundTripper {
			config := &rest.Config{}
			httpclient.Configure(config, logr.Discard())
			return config.WrapTransport(s.Client().Transport)
		},
	}
	for _, name := range []string{"compressed", "plain"} {
		b.Run(name, func(b *testing.B) {
			events := make([][]byte, 0, b.N+1)
			total := 0
			for range b.N + 1 {
				events = append(events, event(rng))
				total += len(events[len(events)-1])
			}
			more := make(chan struct{})
			s := server(b, events, more)
			transport := transports[name](s)
			open(b, transport, s.URL, len(events[0])).Close()
			const idle = 100
			before := inUse()
			var bodies []io.ReadCloser
			for range idle {
				bodies = append(bodies, open(b, transport, s.URL, len(events[0])))
			}
			perWatch := (inUse() - before) / idle
			busy := bodies[0]
			for _, body := range bodies[1:] {
				body.Close()
			}
			began := cpu(b)
			b.ResetTimer()
			close(more)
			if _, err := io.CopyN(io.Discard, busy, int64(total-len(events[0]))); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/event")
			b.ReportMetric(float64(perWatch)/1024, "KiB/watch")
			busy.Close()
		})
	}
}

// inUse returns the memory of heap and stacks that is in use.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// cpu returns the processor time of this process.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
