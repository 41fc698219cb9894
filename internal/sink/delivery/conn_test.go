package delivery_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
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

// net/http may return from a cancelled request while its writer has yet to begin. A request that was reported as
// not begun must not begin later.
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

// The receivers close an idle connection after 5 s; a request that meets the close has an unknown outcome.
func TestConnectionsSuitTheReceivers(t *testing.T) {
	tr := delivery.TransportOf(newClient(t, "http://receiver", delivery.Options{MaxConns: 3}))
	if tr.IdleConnTimeout != 4*time.Second || tr.MaxConnsPerHost != 3 || tr.MaxIdleConnsPerHost != 3 || tr.MaxResponseHeaderBytes != 65536 {
		t.Errorf("idle %v, connections %d, idle ones %d, header %d", tr.IdleConnTimeout, tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost, tr.MaxResponseHeaderBytes)
	}
	if tr.Protocols.HTTP2() || !tr.Protocols.HTTP1() {
		t.Errorf("protocols %v, want HTTP/1 alone", tr.Protocols)
	}
}

// TestConn_BodyOfSeveralWrites_FenceIsAskedBeforeEach checks that a body which is copied to the connection at
// once cannot pass a fence that falls meanwhile.
func TestConn_BodyOfSeveralWrites_FenceIsAskedBeforeEach(t *testing.T) {
	var s sink
	asked := 0
	c, _ := delivery.NewConn(&s, func() error {
		if asked++; asked > 2 {
			return errStopped
		}
		return nil
	})
	n, err := c.(io.ReaderFrom).ReadFrom(bytes.NewReader(make([]byte, 100<<10)))
	if !errors.Is(err, errStopped) || n != 64<<10 || s.taken != 64<<10 {
		t.Errorf("%d bytes written, %d arrived, %v; want two writes of 32 KiB, and then the fence", n, s.taken, err)
	}
}

// TestConn_Bodies_NoBufferForEach bounds the cost of writing a body. With the race detector, a pool forgets one
// buffer in four.
func TestConn_Bodies_NoBufferForEach(t *testing.T) {
	const bodies, most = 400, 16 << 10
	var s sink
	c, _ := delivery.NewConn(&s, func() error { return nil })
	body := make([]byte, 20<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range bodies {
		if _, err := c.(io.ReaderFrom).ReadFrom(bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / bodies; each > most {
		t.Errorf("a body of 20 KiB takes %d bytes to be written, want %d at most", each, most)
	}
}
