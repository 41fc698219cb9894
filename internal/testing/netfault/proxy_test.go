package netfault_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPassesAndCountsEveryByte(t *testing.T) {
	p, conn := start(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn) // ends only if the end of the stream passes in both directions
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back, want the %d that were sent", len(got), len(sent))
	}
	want := netfault.Counts{ToTarget: 1_600_000, ToClient: 1_600_000, Connections: 1}
	if counts := p.Counts(); counts != want {
		t.Errorf("counts %+v, want %+v", counts, want)
	}
}

func TestHangLosesNothing(t *testing.T) {
	p, conn := start(t)
	echo(t, conn, "before")
	p.Hang()
	p.Hang()
	write(t, conn, "during")
	late := dial(t, p) // accepted, like the other one, and as silent
	write(t, late, "late")
	for name, c := range map[string]net.Conn{"open": conn, "new": late} {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(make([]byte, 16)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s connection read %d bytes, %v, want silence", name, n, err)
		}
		_ = c.SetReadDeadline(time.Time{})
	}
	if got := p.Counts().ToTarget; got != 6 {
		t.Errorf("%d bytes reached the target, want the 6 before the hang", got)
	}
	p.Mend()
	expect(t, conn, "during")
	expect(t, late, "late")
}

func TestResetEndsOpenAndNewConnections(t *testing.T) {
	p, conn := start(t)
	echo(t, conn, "before")
	p.Reset()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("open connection: %v, want a reset", err)
	}
	if late, err := net.Dial("tcp", p.Address()); err == nil { // the reset may come before or after Dial returns
		if _, err := late.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("new connection: %v, want a reset", err)
		}
		_ = late.Close()
	}
	p.Mend()
	echo(t, dial(t, p), "after")
}

func TestResetReachesWhatHangs(t *testing.T) {
	p, conn := start(t)
	echo(t, conn, "before")
	p.Hang()
	write(t, conn, "never")
	p.Reset()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("hanging connection: %v, want a reset", err)
	}
}

func TestDelayHoldsBytesBackInBothDirections(t *testing.T) {
	p, conn := start(t)
	const delay = 40 * time.Millisecond
	p.Delay(delay)
	begun := time.Now()
	echo(t, conn, "slow")
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("there and back took %s, want %s at least", took, 2*delay)
	}
	p.Delay(0)
	echo(t, conn, "fast")
}

func TestClientOfAMissingTargetIsDisconnected(t *testing.T) {
	gone := listen(t)
	address := gone.Addr().String()
	_ = gone.Close()
	p, err := netfault.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	conn, err := net.Dial("tcp", p.Address())
	if err == nil { // the reset may come before or after Dial returns
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a client of nobody got %v, want a reset", err)
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	p, conn := start(t)
	p.Hang()
	write(t, conn, "never")
	dial(t, p)
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the proxy")
	}
}

// start returns a proxy in front of an echo server, and a connection through it.
func start(t *testing.T) (*netfault.Proxy, net.Conn) {
	t.Helper()
	l := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	p, err := netfault.New(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		_ = p.Close()
		wg.Wait()
	})
	return p, dial(t, p)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, p *netfault.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that hangs explains less than one that fails
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
	_ = conn.SetReadDeadline(time.Time{})
}

func echo(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	write(t, conn, s)
	expect(t, conn, s)
}
