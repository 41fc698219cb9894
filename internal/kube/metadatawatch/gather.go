package metadatawatch

import (
	"context"
	"net"
	"time"

	"golang.org/x/time/rate"
)

const (
	// gather is how long what has been read of a connection keeps the next read waiting, when there is much to be read
	// all the time. A change waits for a debounce window of seconds anyway.
	gather = 25 * time.Millisecond
	// burst is how many reads are not held up after a quiet time. A start lists types one after another: a thousand of
	// them would be ready seconds later.
	burst = 3000
	// dialTimeout and keepAlive are client-go's.
	dialTimeout, keepAlive = 30 * time.Second, 30 * time.Second
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// gathering makes connections that are read at most every 25 ms, once some thousand reads have come faster than that.
// All watches share them: of hundreds of events a second each would wake the process by itself, which costs more than
// what is then done with it. What fills the buffer is read on: a list is not held up.
func gathering(dial dialer) dialer {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &gatherer{Conn: c, pace: rate.NewLimiter(rate.Every(gather), burst)}, nil
	}
}

// gatherer is a connection whose reads keep a pace after reads that have emptied it. It is read by one goroutine at a
// time.
type gatherer struct {
	net.Conn
	pace    *rate.Limiter
	emptied bool // by the last read
}

// Read implements [net.Conn].
func (g *gatherer) Read(p []byte) (int, error) {
	if g.emptied {
		if pause := g.pace.Reserve().Delay(); pause > 0 {
			<-time.After(pause)
		}
	}
	n, err := g.Conn.Read(p)
	g.emptied = n < len(p)
	return n, err
}
