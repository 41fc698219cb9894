package delivery

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// errFenced says that BeforeWrite refused a write.
var errFenced = errors.New("held back by the fence")

// conn asks the fence before each write and remembers whether any byte of a request was written. It lies below
// TLS, so that no other code comes between its question and the operating system.
type conn struct {
	net.Conn
	ask func() error
	// begun tells whether a byte was handed to the operating system since it was last reset. It is set before the
	// write and taken back when the write took nothing. So it may be true too early and never too late.
	begun atomic.Bool
	// refused stays true once the fence refused a write: half a request must never be continued.
	refused atomic.Bool
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	if c.refused.Load() {
		return 0, errFenced
	}
	if err := c.ask(); err != nil {
		c.refused.Store(true)
		return 0, fmt.Errorf("%w: %w", errFenced, err)
	}
	first := !c.begun.Swap(true)
	n, err := c.Conn.Write(b)
	if first && n == 0 {
		c.begun.Store(false)
	}
	return n, err
}

// buffers hold the bytes of bodies on their way: without them, net/http allocates a buffer for each request.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom implements [io.ReaderFrom] by Write, and hence asks the fence before each part of a body.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, buffer[:])
}

// attempt follows one request over its connections. There are several when a kept connection turns out to be
// closed before anything was written to it.
type attempt struct {
	mu    sync.Mutex // guards both
	conn  *conn
	begun bool // on an earlier connection
}

// trace tells the attempt which connection its request is about to be written to. HTTP/1.1 has one request at a
// time on a connection, so between GotConn and the outcome every write belongs to this request.
func (a *attempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.begun = a.begun || (a.conn != nil && a.conn.begun.Load())
		a.conn = innermost(info.Conn)
		if a.conn != nil {
			a.conn.begun.Store(false)
		}
	}}
}

// innermost finds our conn below TLS.
func innermost(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	inner, _ := c.(*conn)
	return inner
}

// end closes the connection of a failed request and tells whether any byte of the request was written. The
// closing comes first: net/http may still be about to write, and cannot write after the closing.
func (a *attempt) end() (begun bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil {
		return a.begun
	}
	_ = a.conn.Close()
	return a.begun || a.conn.begun.Load()
}
