package metadatawatch

import (
	"context"
	"net"
	"time"

	"golang.org/x/time/rate"
)

const (
	// gather is the time between two reads of a busy connection. A change waits for a debounce window of seconds
	// anyway.
	gather = 25 * time.Millisecond
	// burst is how many reads are not delayed after a quiet time. A start lists types one after another: with
	// delays, a thousand types would be ready seconds later.
	burst = 3000
	// dialTimeout and keepAlive have client-go's values.
	dialTimeout, keepAlive = 30 * time.Second, 30 * time.Second
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// gathering makes connections that are read at most every 25 ms, after some thousand faster reads. All watches
// share them. Each of hundreds of events a second would otherwise wake the process, which costs more than its
// processing. A read that fills the buffer is followed by the next without delay, so a list is not held up.
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

// gatherer is a connection that delays a read after one that has emptied it. One goroutine at a time reads it.
type gatherer struct {
	net.Conn
	pace    *rate.Limiter
	emptied bool // the last read has taken all available bytes
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
