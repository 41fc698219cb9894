package delivery

import (
	"net"
	"net/http"
	"net/http/httptrace"
)

// NewConn wraps c in the way of the client's own connections. begun tells what the wrapper remembers.
func NewConn(c net.Conn, ask func() error) (wrapped net.Conn, begun func() bool) {
	w := &conn{Conn: c, ask: ask}
	return w, w.begun.Load
}

// Follow lets an attempt take c. The client calls end when the attempt has failed.
func Follow(c net.Conn) (end func() (begun bool)) {
	var a attempt
	a.trace().GotConn(httptrace.GotConnInfo{Conn: c})
	return a.end
}

// TransportOf returns the client's own transport.
func TransportOf(c *Client) *http.Transport { return c.own }
