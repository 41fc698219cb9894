package api_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// pipes is a listener in memory: real connections do not belong in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// dial connects a client.
func (p *pipes) dial(t *testing.T) net.Conn {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
	case <-p.closed:
		t.Fatal("dialled a closed listener")
	}
	return client
}

// run starts a server in a bubble. stop ends it and returns what Run returned.
func run(t *testing.T, b api.Backend) (ln *pipes, stop func() error) {
	t.Helper()
	ln = newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.New(b, api.Options{}).Run(ctx, ln) }()
	return ln, func() error { cancel(); return <-ended }
}

// ask sends a request and reads its answer.
func ask(conn net.Conn, request string) (code int, body string, err error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

const (
	plainPost = "POST /api/v1/resync HTTP/1.1\r\nHost: x\r\n\r\n"
	longPost  = "POST /api/v1/resync?timeout=1h HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	plainGet  = "GET /api/v1/ring HTTP/1.1\r\nHost: x\r\n\r\n"
)

func TestLongWaitOutlivesTheTimeoutsOfTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		ln, stop := run(t, b)
		conn := ln.dial(t)
		defer conn.Close()
		go func() {
			time.Sleep(59 * time.Minute)
			b.finish("op-1", api.OperationDone, 3, "")
		}()
		code, body, err := ask(conn, longPost)
		if err != nil || code != 200 || body != `{"status":"ok","resources":3,"message":"resynced 3 resources"}`+"\n" {
			t.Errorf("got %d %q, %v", code, body, err)
		}
		if code, _, err := ask(conn, plainGet); code != 200 || err != nil {
			t.Errorf("the connection is of no use any more: %d, %v", code, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStopAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, stop := run(t, &backend{})
		conn := ln.dial(t)
		defer conn.Close()
		answered := make(chan string, 1)
		go func() {
			code, body, err := ask(conn, plainPost)
			if code != 503 || err != nil {
				t.Errorf("got %d, %v", code, err)
			}
			answered <- body
		}()
		synctest.Wait()
		start := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if body := <-answered; !strings.Contains(body, `"operation":"op-1"`) {
			t.Errorf("got %s", body)
		}
		if d := time.Since(start); d >= time.Second {
			t.Errorf("the stop took %s", d)
		}
	})
}

func TestStopAnswersThoseWhoStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, stop := run(t, &backend{startBlocks: true})
		conn := ln.dial(t)
		defer conn.Close()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if code, body, err := ask(conn, plainPost); code != 503 || err != nil {
				t.Errorf("got %d %s, %v", code, body, err)
			}
		}()
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		<-answered
	})
}

func TestStopClosesIdleConnectionsAndThenBusyOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, stop := run(t, &backend{})
		busy, idle := ln.dial(t), ln.dial(t)
		defer busy.Close()
		defer idle.Close()
		if _, err := io.WriteString(busy, plainGet); err != nil { // and never reads the answer
			t.Fatal(err)
		}
		if code, _, err := ask(idle, plainGet); code != 200 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
		synctest.Wait()
		start := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("the stop took %s, want the whole grace of 5s", d)
		}
		for name, conn := range map[string]net.Conn{"busy": busy, "idle": idle} {
			if _, err := conn.Write([]byte("x")); err == nil {
				t.Errorf("the %s connection is open", name)
			}
		}
	})
}

func TestClientThatHangsUpEndsItsWaitAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		ln, stop := run(t, b)
		conn := ln.dial(t)
		if _, err := io.WriteString(conn, plainPost); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		conn.Close()
		synctest.Wait()
		if op, ok := b.Resync("op-1"); !ok || op.Status != "running" {
			t.Errorf("the resync is %+v", op)
		}
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %s: somebody still waited", err, time.Since(start))
		}
	})
}

func TestClientsThatDoNotSpeakAreCut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sent string
		want time.Duration
	}{
		"half a header": {"GET / HTTP/1.1\r\nHost:", 5 * time.Second},
		"half a body":   {"POST /api/v1/resync HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				ln, stop := run(t, b)
				conn := ln.dial(t)
				defer conn.Close()
				start := time.Now()
				if _, err := io.WriteString(conn, tc.sent); err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, conn) // ends when the server hangs up
				if d := time.Since(start); d < tc.want || d > tc.want+time.Second {
					t.Errorf("cut after %s, want %s", d, tc.want)
				}
				if len(b.asked()) != 0 {
					t.Error("half a request started a resync")
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOversizedHeadersAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, stop := run(t, &backend{})
		conn := ln.dial(t)
		defer conn.Close()
		go func() { // the server stops reading in the middle
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 431 {
			t.Errorf("got %v, %v", resp, err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestListenerThatFailsEndsRun(t *testing.T) {
	t.Parallel()
	ln := newPipes()
	ln.Close()
	if err := api.New(&backend{}, api.Options{}).Run(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}
