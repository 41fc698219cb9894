package metadatawatch

import (
	"context"
	"net"
	"time"
)

const (
	// gather is how long what has been read of a connection keeps the next read waiting. A change waits for a debounce
	// window of seconds anyway.
	gather = 25 * time.Millisecond
	// dialTimeout and keepAlive are client-go's.
	dialTimeout, keepAlive = 30 * time.Second, 30 * time.Second
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// gathering makes connections that are read at most every 25 ms. All watches share them: of hundreds of events a second
// each would wake the process by itself, which costs more than what is then done with it. What comes after a pause is
// read at once, and what fills the buffer is read on: a list is not held up.
func gathering(dial dialer) dialer {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &gatherer{Conn: c}, nil
	}
}

// gatherer is a connection with a pause after each read that has emptied it. It is read by one goroutine at a time.
type gatherer struct {
	net.Conn
	emptied time.Time // when; zero when the last read has left something
}

// Read implements [net.Conn].
func (g *gatherer) Read(p []byte) (int, error) {
	if pause := gather - time.Since(g.emptied); pause > 0 {
		<-time.After(pause)
	}
	n, err := g.Conn.Read(p)
	g.emptied = time.Time{}
	if n < len(p) {
		g.emptied = time.Now()
	}
	return n, err
}
