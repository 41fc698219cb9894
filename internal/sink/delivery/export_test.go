package delivery

import (
	"net"
	"net/http"
	"net/http/httptrace"
)

// NewConn wraps c as the client's own connections are, and begun tells what it remembers.
func NewConn(c net.Conn, ask func() error) (wrapped net.Conn, begun func() bool) {
	w := &conn{Conn: c, ask: ask}
	return w, w.begun.Load
}

// Follow lets an attempt take c, and end is what the client calls when the attempt has failed.
func Follow(c net.Conn) (end func() (begun bool)) {
	var a attempt
	a.trace().GotConn(httptrace.GotConnInfo{Conn: c})
	return a.end
}

// TransportOf returns the client's own transport.
func TransportOf(c *Client) *http.Transport { return c.own }
