package netfault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout bounds a connection to the target. Loopback accepts or refuses it at once.
const dialTimeout = 5 * time.Second

// Counts are the bytes and connections that have passed through a [Proxy] since it was made.
type Counts struct {
	// ToTarget and ToClient are the bytes that have been written in either direction. They include the overhead of
	// TLS, but not the headers of TCP and IP.
	ToTarget, ToClient int64
	// Connections is how many have been accepted.
	Connections int64
}

// Proxy hands connections on to its target. Make one with [New]. A new one passes everything without delay.
type Proxy struct {
	target   string
	listener net.Listener
	ctx      context.Context // ended by Close, and ends every goroutine
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	toTarget, toClient, accepted atomic.Int64
	delay                        atomic.Int64 // nanoseconds

	mu    sync.Mutex // guards the fields below
	reset bool
	// open is closed while bytes may pass.
	open  chan struct{}
	conns map[net.Conn]struct{}
}

// New listens on a free port of 127.0.0.1 in front of target, a host:port. The target need not listen yet: while it
// refuses a connection, the proxy disconnects the client.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening in front of %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: listener, open: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(p.open)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept) // ended by closing the listener, in Close
	return p, nil
}

// Address returns the host:port for clients.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Counts returns what has passed so far.
func (p *Proxy) Counts() Counts {
	return Counts{ToTarget: p.toTarget.Load(), ToClient: p.toClient.Load(), Connections: p.accepted.Load()}
}

// Delay holds back for d every byte that is read after the call, in each direction, without narrowing the line. Zero
// ends it.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Hang lets nothing pass, in either direction, until [Proxy.Mend]; only a write in progress may complete.
// Connections stay open and new ones are accepted, so a peer notices only by waiting. The end of a connection does
// not pass either.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset = false
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default: // the line hangs already
	}
}

// Reset resets all connections, and every new one, until [Proxy.Mend].
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset = true
	for conn := range p.conns {
		abort(conn)
	}
	p.wakeWaiters() // they find their connections gone
}

// Mend lets everything pass again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset = false
	p.wakeWaiters()
}

// wakeWaiters wakes the waiters. The caller holds mu.
func (p *Proxy) wakeWaiters() {
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// Close resets the open connections and ends the proxy. It may be called more than once.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.cancel()
	p.Reset()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed, or the process lacks descriptors, and then all is lost
		}
		p.accepted.Add(1)
		p.wg.Go(func() { p.serve(client) }) // ended by closing its connections, in Close
	}
}

// track adds a connection to those that Reset aborts, and aborts it at once while the line is reset.
func (p *Proxy) track(conn net.Conn) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reset {
		abort(conn)
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

// drop closes a connection and forgets it.
func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close()
}

// serve joins a client with the target until both directions have ended.
func (p *Proxy) serve(client net.Conn) {
	if !p.track(client) {
		return
	}
	defer p.drop(client)
	if !p.pass() { // behind a partition there is no target to connect to
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	target, err := dialer.DialContext(p.ctx, "tcp", p.target)
	if err != nil || !p.track(target) {
		abort(client)
		return
	}
	defer p.drop(target)
	var both sync.WaitGroup
	both.Go(func() { p.pump(client, target, &p.toTarget) })
	both.Go(func() { p.pump(target, client, &p.toClient) })
	both.Wait()
}

// pass blocks while the line hangs. It returns false when the proxy has been closed.
func (p *Proxy) pass() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// chunk is the result of one read, and the time at which to write it.
type chunk struct {
	bytes []byte
	due   time.Time
}

// inFlight is how many chunks of up to 32 KiB a delayed line holds. A reader that is further ahead waits, so that
// backpressure passes through the proxy: at 100 ms it still lets 20 MB/s pass.
const inFlight = 64

// pump copies one direction. It reads on while earlier chunks wait out their delay, or the delay would narrow the
// line.
func (p *Proxy) pump(from, to net.Conn, count *atomic.Int64) {
	chunks := make(chan chunk, inFlight)
	stop := make(chan struct{})
	p.wg.Go(func() { // ends with from, when the writer closes stop, or with Close
		defer close(chunks)
		p.read(from, chunks, stop)
	})
	defer close(stop)
	for c := range chunks {
		if !p.wait(c.due) || !p.pass() {
			break
		}
		n, err := to.Write(c.bytes)
		count.Add(int64(n))
		if err != nil {
			abort(from)
			return
		}
	}
	if !p.pass() {
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the other direction may go on; if to is gone already, it has ended too
	}
}

func (p *Proxy) read(from net.Conn, chunks chan<- chunk, stop <-chan struct{}) {
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			select {
			case chunks <- chunk{bytes: buf[:n], due: time.Now().Add(time.Duration(p.delay.Load()))}:
			case <-stop:
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				abort(from)
			}
			return
		}
	}
}

// wait blocks until due. It returns false when the proxy has been closed.
func (p *Proxy) wait(due time.Time) bool {
	left := time.Until(due)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// abort closes a connection with a reset instead of a regular end.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
