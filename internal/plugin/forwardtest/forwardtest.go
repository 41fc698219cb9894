// Package forwardtest is the far end of a port-forward, for tests. It does what a kubelet does for kubectl
// port-forward, over SPDY or over a WebSocket. [Serve] answers one request and blocks until its client has gone. It
// is safe for concurrent use.
package forwardtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// tunneled is the protocol of a WebSocket that carries SPDY.
const tunneled = "SPDY/3.1+" + portforward.PortForwardProtocolV1Name

// Dial connects to a port of the pod. The client receives its error.
type Dial func(ctx context.Context, port string) (net.Conn, error)

// Serve serves one port-forward.
func Serve(w http.ResponseWriter, r *http.Request, dial Dial) {
	streams := make(chan httpstream.Stream)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	created := func(s httpstream.Stream, _ <-chan struct{}) error {
		select {
		case streams <- s:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	conn, err := upgrade(w, r, created)
	if err != nil {
		return // the client has the answer
	}
	var forwards sync.WaitGroup
	defer forwards.Wait()
	defer func() { _ = conn.Close() }()
	pairs := make(map[string]httpstream.Stream)
	for {
		select {
		case <-conn.CloseChan():
			cancel()
			return
		case s := <-streams:
			id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
			first, paired := pairs[id]
			if !paired {
				pairs[id] = s
				continue
			}
			delete(pairs, id)
			data, complaints := s, first
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				data, complaints = first, s
			}
			forwards.Go(func() { forward(ctx, data, complaints, dial) })
		}
	}
}

func upgrade(w http.ResponseWriter, r *http.Request, created httpstream.NewStreamHandler) (httpstream.Connection, error) {
	if !websocket.IsWebSocketUpgrade(r) {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return nil, fmt.Errorf("agreeing on a protocol: %w", err)
		}
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, created)
		if conn == nil {
			return nil, errors.New("the request is no upgrade")
		}
		return conn, nil
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{tunneled}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, fmt.Errorf("upgrading to a WebSocket: %w", err)
	}
	return spdy.NewServerConnection(portforward.NewTunnelingConnection("forwardtest", ws), created)
}

// forward copies both ways until one end closes.
func forward(ctx context.Context, data, complaints httpstream.Stream, dial Dial) {
	defer func() { _ = complaints.Close() }()
	defer func() { _ = data.Close() }()
	conn, err := dial(ctx, data.Headers().Get(corev1.PortHeader))
	if err != nil {
		fmt.Fprintf(complaints, "error forwarding port: %v", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var sent sync.WaitGroup
	sent.Go(func() {
		_, _ = io.Copy(conn, data) // ends when the client closes its stream, or the connection below
		_ = conn.Close()
	})
	_, _ = io.Copy(data, conn)
	_ = conn.Close()
	_ = data.Reset()
	sent.Wait()
}
