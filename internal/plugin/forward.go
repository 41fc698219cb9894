package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// lastWords is how long the end of a stream waits for its reason, which travels in a stream of its own. The reason
// comes along with the end; without a reason, the reader gets a plain end.
const lastWords = time.Second

// newDialer returns a dialer of the port-forward of one pod. As kubectl does, it tries a WebSocket first, and SPDY
// where the API server or a proxy before it does not let a WebSocket through.
func newDialer(config *rest.Config, client corev1client.CoreV1Interface, namespace, pod string) (httpstream.Dialer, error) {
	target := client.RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing SPDY: %w", err)
	}
	overSPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		return nil, fmt.Errorf("preparing a WebSocket: %w", err)
	}
	return portforward.NewFallbackDialerForStreaming(overWebSocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// tunnel is a connection to one pod through the API server. It carries any number of connections to one of the
// pod's ports. Its methods are safe for concurrent use.
type tunnel struct {
	conn httpstream.Connection
	port int32
	last atomic.Int64 // ID of the last pair of streams
}

// openTunnel blocks until there is a connection or ctx ends. It closes a connection that comes later.
func openTunnel(ctx context.Context, dialer httpstream.Dialer, port int32) (*tunnel, error) {
	type result struct {
		conn httpstream.Connection
		err  error
	}
	results := make(chan result, 1)
	go func() { // Ends with the dialer, which no context can interrupt, and is not waited for.
		conn, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err == nil && protocol != portforward.PortForwardProtocolV1Name {
			_ = conn.Close()
			err = fmt.Errorf("the API server speaks %q, want %q", protocol, portforward.PortForwardProtocolV1Name)
		}
		if err == nil && ctx.Err() != nil {
			_ = conn.Close()
			err = ctx.Err()
		}
		results <- result{conn, err}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return nil, fmt.Errorf("forwarding a port: %w", r.err)
		}
		return &tunnel{conn: r.conn, port: port}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("forwarding a port: %w", ctx.Err())
	}
}

// Close ends the tunnel and every connection in it.
func (t *tunnel) Close() error { return t.conn.Close() }

// dial opens a connection to the port. If the port has no listener, only the first read says so.
func (t *tunnel) dial() (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(t.port)))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(t.last.Add(1), 10))
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	complaints, err := t.conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("opening a stream of errors: %w", err)
	}
	_ = complaints.Close() // the writing side: the client writes no errors
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(headers)
	if err != nil {
		t.conn.RemoveStreams(complaints)
		return nil, fmt.Errorf("opening a stream of data: %w", err)
	}
	c := &streamConn{Stream: data, tunnel: t, complaints: complaints, complained: make(chan struct{})}
	go c.listen() // Ends with the stream of errors, at the latest when the tunnel is closed.
	return c, nil
}

var _ net.Conn = (*streamConn)(nil)

// streamConn is a pair of streams as a connection. It has no deadlines: contexts bound the requests that use it,
// and the transport closes it when a context ends.
type streamConn struct {
	httpstream.Stream
	tunnel     *tunnel
	complaints httpstream.Stream
	complained chan struct{} // closed when complaint is complete
	complaint  string        // guarded by complained
}

// refusedError is the node's message about a connection that it could not make.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

func (c *streamConn) listen() {
	defer close(c.complained)
	text, err := io.ReadAll(io.LimitReader(c.complaints, 4<<10))
	if err == nil {
		c.complaint = strings.TrimSpace(string(text))
	}
}

// Read implements [net.Conn]. If a stream ends because the node could not connect, its error says why.
func (c *streamConn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if err == nil || n > 0 {
		return n, err
	}
	select {
	case <-c.complained:
		if c.complaint != "" {
			return 0, &refusedError{c.complaint}
		}
	case <-time.After(lastWords):
	}
	return 0, err
}

// Close implements [net.Conn].
func (c *streamConn) Close() error {
	err := errors.Join(c.Reset(), c.complaints.Reset())
	c.tunnel.conn.RemoveStreams(c.Stream, c.complaints)
	return err
}

// LocalAddr implements [net.Conn].
func (c *streamConn) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr implements [net.Conn].
func (c *streamConn) RemoteAddr() net.Addr { return streamAddr{} }

// SetDeadline implements [net.Conn] and does nothing.
func (c *streamConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements [net.Conn] and does nothing.
func (c *streamConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements [net.Conn] and does nothing.
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }

// streamAddr is the address of both ends.
type streamAddr struct{}

func (streamAddr) Network() string { return "portforward" }
func (streamAddr) String() string  { return "portforward" }
