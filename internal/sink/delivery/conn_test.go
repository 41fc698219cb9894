package delivery_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// sink is a connection that takes writes until it is closed.
type sink struct {
	net.Conn
	taken  int
	closed bool
}

func (s *sink) Write(b []byte) (int, error) {
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.taken += len(b)
	return len(b), nil
}

func (s *sink) Close() error {
	s.closed = true
	return nil
}

// Half a request must never be continued, even when the fence lifts.
func TestRefusedConnectionWritesNeverAgain(t *testing.T) {
	var s sink
	fence := errStopped
	c, begun := delivery.NewConn(&s, func() error { return fence })
	if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, errStopped) {
		t.Errorf("%d bytes, %v", n, err)
	}
	fence = nil
	if n, err := c.Write([]byte("x")); n != 0 || err == nil || s.taken != 0 {
		t.Errorf("%d bytes, %v after the fence lifted", n, err)
	}
	if begun() {
		t.Error("a refused write counts as begun")
	}
}

func TestWriteThatTookNothingIsNotBegun(t *testing.T) {
	s := sink{closed: true}
	c, begun := delivery.NewConn(&s, func() error { return nil })
	if _, err := c.Write([]byte("x")); err == nil || begun() {
		t.Errorf("error %v, begun: %v", err, begun())
	}
	s.closed = false
	if _, err := c.Write([]byte("x")); err != nil || !begun() {
		t.Errorf("error %v, begun: %v", err, begun())
	}
	s.closed = true
	if _, err := c.Write([]byte("x")); err == nil || !begun() {
		t.Errorf("error %v, begun: %v after an earlier write took something", err, begun())
	}
}

// net/http may return from a cancelled request while its writer has yet to begin. What was called not begun
// must stay so.
func TestEndedAttemptCanBeginNoMore(t *testing.T) {
	var s sink
	c, _ := delivery.NewConn(&s, func() error { return nil })
	if delivery.Follow(c)() {
		t.Error("begun before anything was written")
	}
	if _, err := c.Write([]byte("x")); err == nil || s.taken != 0 {
		t.Errorf("%d bytes written after the end, error %v", s.taken, err)
	}
}

// The receivers close an idle connection after 5 s; a request that meets that has an unknown outcome.
func TestConnectionsSuitTheReceivers(t *testing.T) {
	tr := delivery.TransportOf(newClient(t, "http://receiver", delivery.Options{MaxConns: 3}))
	if tr.IdleConnTimeout != 4*time.Second || tr.MaxConnsPerHost != 3 || tr.MaxIdleConnsPerHost != 3 || tr.MaxResponseHeaderBytes != 65536 {
		t.Errorf("idle %v, connections %d, idle ones %d, header %d", tr.IdleConnTimeout, tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost, tr.MaxResponseHeaderBytes)
	}
	if tr.Protocols.HTTP2() || !tr.Protocols.HTTP1() {
		t.Errorf("protocols %v, want HTTP/1 alone", tr.Protocols)
	}
}
