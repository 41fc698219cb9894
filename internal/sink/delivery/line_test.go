package delivery_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// request is n upserts.
func request(n int) delivery.Request {
	var r delivery.Request
	for i := range n {
		name := "a" + strconv.Itoa(i)
		r.Upserts = append(r.Upserts, wire.Item{ID: pods.ID("shop", name), Type: pods, Namespace: "shop", Name: name})
	}
	return r
}

// counted is cluster-whisperer's answer to request(n).
func counted(n int) string {
	body := `{"status":"ok","upserted":` + strconv.Itoa(n) + `,"deleted":0}`
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// listen serves each connection with serve on a goroutine that the end of the test waits for, after it has closed
// all connections. It returns the URL.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards conns
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String() + "/api/v1/instances/sync"
}

// readRequest reads one whole request and returns false when it does not come.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, req.Body)
	return err == nil && n == req.ContentLength
}

// hang reads until the other side is gone.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func newClient(t *testing.T, endpoint string, opts delivery.Options) *delivery.Client {
	t.Helper()
	c, err := delivery.New(endpoint, wire.ClusterWhisperer(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
