package delivery_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// A line can break in many ways. Bytes that were handed to the operating system may have arrived and may be
// applied; without any such byte, nothing may be applied.
func TestBrokenLineIsUnknownOnceAnythingWasWritten(t *testing.T) {
	after := func(then func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			if readRequest(bufio.NewReader(c)) {
				then(c)
			}
		}
	}
	say := func(text string) func(net.Conn) {
		return after(func(c net.Conn) { _, _ = io.WriteString(c, text) })
	}
	tests := map[string]struct {
		serve      func(net.Conn)
		want       wire.Kind
		wantStatus int
		reason     string
	}{
		"closed after reading":     {after(func(net.Conn) {}), wire.Unknown, 0, "EOF"},
		"reset after reading":      {after(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), wire.Unknown, 0, "reset"},
		"closed in the header":     {say("HTTP/1.1 200 OK\r\nContent-Ty"), wire.Unknown, 0, "broken"},
		"closed in the body":       {say("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), wire.Unknown, 200, "breaks off"},
		"closed in a chunk":        {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"upserted\":"), wire.Unknown, 200, "breaks off"},
		"closed in a 400":          {say("HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n{"), wire.Unknown, 400, "breaks off"},
		"closed in a 503":          {say("HTTP/1.1 503 Gone\r\nContent-Length: 90\r\n\r\n{"), wire.Unknown, 503, ""},
		"closed in a 413":          {say("HTTP/1.1 413 Long\r\nContent-Length: 90\r\n\r\n{"), wire.TooLarge, 413, ""},
		"garbage":                  {say("\x00\x01\x02SSH-2.0\r\n\r\n"), wire.Unknown, 0, "malformed"},
		"silence":                  {after(hang), wire.Unknown, 0, "no answer within 200ms"},
		"silence in the header":    {after(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX:"); hang(c) }), wire.Unknown, 0, "no answer within 200ms"},
		"silence in the body":      {after(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"); hang(c) }), wire.Unknown, 200, "no answer within 200ms"},
		"endless body":             {after(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); _, _ = io.Copy(c, endless{}) }), wire.WrongEndpoint, 200, "no counts"},
		"endless header":           {after(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX:"); _, _ = io.Copy(c, endless{}) }), wire.Unknown, 0, "headers"},
		"endless body of an error": {after(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 X\r\n\r\n"); _, _ = io.Copy(c, endless{}) }), wire.ServerError, 500, ""},
		"well":                     {say(counted(3)), wire.Delivered, 200, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			timeout := time.Minute
			if strings.HasPrefix(tt.reason, "no answer") {
				timeout = 200 * time.Millisecond
			}
			c := newClient(t, listen(t, tt.serve), delivery.Options{Timeout: timeout})
			o := c.Send(t.Context(), request(3))
			if o.Kind != tt.want || o.Status != tt.wantStatus || o.Own || !strings.Contains(o.Reason, tt.reason) {
				t.Errorf("outcome %+v, want %s, status %d, reason ...%s...", o, tt.want, tt.wantStatus, tt.reason)
			}
			if o.Bytes == 0 || o.Took <= 0 {
				t.Errorf("%d bytes in %v", o.Bytes, o.Took)
			}
		})
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// Whether the first write still finds the connection is a race that no code can win; both outcomes are true.
func TestConnectionClosedBeforeReadingIsNotDelivered(t *testing.T) {
	c := newClient(t, listen(t, func(net.Conn) {}), delivery.Options{})
	for range 20 {
		if o := c.Send(t.Context(), request(3)); o.Kind != wire.Unknown && o.Kind != wire.Retry {
			t.Fatalf("outcome %+v, want unknown or retry", o)
		}
	}
}

func TestRefusedConnectionIsSurelyNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := newClient(t, "http://"+l.Addr().String(), delivery.Options{})
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Retry || o.Own || !strings.Contains(o.Reason, "not sent: dial tcp") {
		t.Errorf("outcome %+v, want retry", o)
	}
}

func TestConnectionThatDoesNotComeAboutIsToldFromSilence(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1", delivery.Options{})
	late := net.Dialer{Deadline: time.Now().Add(-time.Second)} // a connection that takes too long
	delivery.TransportOf(c).DialContext = late.DialContext
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Retry || !strings.Contains(o.Reason, "not sent: dial tcp") || !strings.Contains(o.Reason, "i/o timeout") {
		t.Errorf("outcome %+v, want retry because of the connection", o)
	}
}

func TestOwnCancelIsOwn(t *testing.T) {
	t.Run("before it is begun", func(t *testing.T) {
		c := newClient(t, listen(t, hang), delivery.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if o := c.Send(ctx, request(1)); o.Kind != wire.Fenced || !o.Own {
			t.Errorf("outcome %+v, want fenced", o)
		}
	})
	t.Run("before it is begun, inside the process", func(t *testing.T) {
		c := newClient(t, "http://receiver", delivery.Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("the request was begun")
			return nil, context.Canceled
		})})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if o := c.Send(ctx, request(1)); o.Kind != wire.Fenced || !o.Own {
			t.Errorf("outcome %+v, want fenced", o)
		}
	})
	t.Run("while the receiver works", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newClient(t, listen(t, func(conn net.Conn) {
			readRequest(bufio.NewReader(conn))
			cancel()
			hang(conn)
		}), delivery.Options{})
		if o := c.Send(ctx, request(1)); o.Kind != wire.Unknown || !o.Own {
			t.Errorf("outcome %+v, want unknown and own", o)
		}
	})
	t.Run("while the answer comes", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newClient(t, listen(t, func(conn net.Conn) {
			readRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
			cancel()
			hang(conn)
		}), delivery.Options{})
		if o := c.Send(ctx, request(1)); o.Kind != wire.Unknown || !o.Own {
			t.Errorf("outcome %+v, want unknown and own", o)
		}
	})
}

// A request that waits for a connection has not begun, whatever ends its wait.
func TestWaitingForAConnectionIsNotSent(t *testing.T) {
	busy := make(chan struct{}, 1)
	c := newClient(t, listen(t, func(conn net.Conn) {
		readRequest(bufio.NewReader(conn))
		busy <- struct{}{}
		hang(conn)
	}), delivery.Options{MaxConns: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan wire.Outcome, 1)
	go func() { first <- c.Send(ctx, request(1)) }()
	<-busy

	waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if o := c.Send(waiting, request(1)); o.Kind != wire.Fenced || !o.Own {
		t.Errorf("outcome %+v, want fenced", o)
	}
	cancel()
	if o := <-first; o.Kind != wire.Unknown || !o.Own {
		t.Errorf("outcome %+v, want unknown and own", o)
	}
}

// A request's bytes on a connection must not be held against the next request on it.
func TestKeptConnectionIsJudgedPerRequest(t *testing.T) {
	var conns []net.Conn // by the only connection's goroutine
	c := newClient(t, listen(t, func(conn net.Conn) {
		conns = append(conns, conn)
		r := bufio.NewReader(conn)
		for range 2 {
			if !readRequest(r) {
				return
			}
			_, _ = io.WriteString(conn, counted(1))
		}
		readRequest(r)
	}), delivery.Options{})
	for range 2 {
		if o := c.Send(t.Context(), request(1)); o.Kind != wire.Delivered {
			t.Fatalf("outcome %+v, want delivered", o)
		}
	}
	if o := c.Send(t.Context(), request(1)); o.Kind != wire.Unknown {
		t.Errorf("outcome %+v, want unknown", o)
	}
	if len(conns) != 1 {
		t.Errorf("%d connections, want one", len(conns))
	}
}

func TestRequestIsWhatReceiversNeed(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"status":"ok","upserted":0,"deleted":2}`)
	}))
	defer server.Close()
	c := newClient(t, server.URL+"/api/v1/instances/sync?x=1", delivery.Options{
		Version: "1.2.3", Member: "sync-0", Token: func() (string, error) { return "s3cr3t", nil },
	})
	if o := c.Send(t.Context(), delivery.Request{Deletes: []resource.ID{"shop/v1/Pod/a", "shop/v1/Pod/b"}}); o.Kind != wire.Delivered {
		t.Fatalf("outcome %+v, want delivered", o)
	}
	want := http.Header{
		"Content-Type":           {"application/json"},
		"Content-Length":         {"58"},
		"User-Agent":             {"k8s-vectordb-sync/1.2.3"},
		"X-Vectordb-Sync-Member": {"sync-0"},
		"Authorization":          {"Bearer s3cr3t"},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got.Method != "POST" || got.URL.String() != "/api/v1/instances/sync?x=1" || got.ContentLength != 58 {
		t.Errorf("%s %s of %d bytes", got.Method, got.URL, got.ContentLength)
	}
	if string(body) != `{"upserts":[],"deletes":["shop/v1/Pod/a","shop/v1/Pod/b"]}` {
		t.Errorf("body %s", body)
	}
}

func TestProbeChangesNothing(t *testing.T) {
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"status":"ok","upserted":0,"deleted":0}`)
	}))
	defer server.Close()
	if o := newClient(t, server.URL, delivery.Options{}).Probe(t.Context()); o.Kind != wire.Delivered || string(body) != "{}" {
		t.Errorf("outcome %+v to %s, want delivered to {}", o, body)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	visited := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			visited = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	if o := newClient(t, server.URL, delivery.Options{}).Send(t.Context(), request(1)); o.Kind != wire.WrongEndpoint || visited {
		t.Errorf("outcome %+v, followed: %v", o, visited)
	}
}

func TestTokenIsTheNewestAndNeverShown(t *testing.T) {
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		tokens = append(tokens, token)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusServiceUnavailable)
		// The reason ends in the middle of the last one.
		fmt.Fprint(w, "who is "+token+"? "+strings.Repeat("x", 228-len(token))+token)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	var logs strings.Builder
	c := newClient(t, server.URL, delivery.Options{
		Token: delivery.TokenFile(file),
		Log:   funcr.New(func(prefix, args string) { logs.WriteString(args + "\n") }, funcr.Options{Verbosity: 5}),
	})
	reasons := ""
	for _, token := range []string{"first-and-secret", "second-and-secret"} {
		if err := os.WriteFile(file, []byte(" "+token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := c.Send(t.Context(), request(1))
		if o.Kind != wire.Unknown {
			t.Errorf("outcome %+v, want unknown", o)
		}
		reasons += o.Reason
		if strings.Count(o.Reason, "[token]") != 2 {
			t.Errorf("reason %q, want two tokens taken out", o.Reason)
		}
	}
	if want := []string{"first-and-secret", "second-and-secret"}; !slices.Equal(tokens, want) {
		t.Errorf("tokens %q, want %q", tokens, want)
	}
	for _, part := range []string{"first-", "second-", "firs", "secre"} {
		if strings.Contains(reasons, part) || strings.Contains(logs.String(), part) {
			t.Errorf("%q is shown in %q or in\n%s", part, reasons, logs.String())
		}
	}
	if !strings.Contains(logs.String(), `"outcome"="unknown"`) {
		t.Errorf("no line says what became of a request:\n%s", logs.String())
	}
}

func TestUnusableTokenIsNotSent(t *testing.T) {
	asked := 0
	endpoint := listen(t, func(net.Conn) { asked++ })
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		token delivery.TokenSource
		want  string
	}{
		"no file":        {delivery.TokenFile(missing), "reading the bearer token: open"},
		"empty file":     {delivery.TokenFile(empty), "is empty"},
		"a line break":   {func() (string, error) { return "s3c\nr3t", nil }, "cannot stand in a header"},
		"too long":       {func() (string, error) { return strings.Repeat("x", 8193), nil }, "too long"},
		"a source fails": {func() (string, error) { return "", errors.New("no such secret") }, "no such secret"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := newClient(t, endpoint, delivery.Options{Token: tt.token}).Send(t.Context(), request(1))
			if o.Kind != wire.Unauthorized || !strings.Contains(o.Reason, tt.want) || strings.Contains(o.Reason, "s3c") {
				t.Errorf("outcome %+v, want unauthorized: ...%s...", o, tt.want)
			}
		})
	}
	if asked != 0 {
		t.Errorf("%d connections were made", asked)
	}
}

func TestItemThatCannotBeEncodedIsRefusedUnsent(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1", delivery.Options{})
	r := request(3)
	r.Upserts[1].Body = "\xff"
	o := c.Send(t.Context(), r)
	want := []wire.ItemError{{Index: 1, Reason: "malformed packed body"}}
	if diff := cmp.Diff(want, o.Bad); o.Kind != wire.Refused || !o.Own || diff != "" {
		t.Errorf("outcome %+v (-want +got):\n%s", o, diff)
	}
	r = request(1)
	r.Deletes = []resource.ID{"shop/v1/Pod/b"}
	if o := c.Send(t.Context(), r); o.Kind != wire.Unprocessable || !o.Own || !strings.Contains(o.Reason, "want two") {
		t.Errorf("both arrays give %+v", o)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The timeout is the format's own where none is given. With a receiver inside the process, the wait costs
// nothing.
func TestTimeoutIsTheFormatsByDefault(t *testing.T) {
	for want, f := range map[time.Duration]wire.Format{90 * time.Second: wire.ClusterWhisperer(), 120 * time.Second: wire.DotAI()} {
		synctest.Test(t, func(t *testing.T) {
			c, err := delivery.New("http://receiver", f, delivery.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})})
			if err != nil {
				t.Fatal(err)
			}
			if o := c.Send(t.Context(), request(1)); o.Kind != wire.Unknown || o.Took != want || o.Own {
				t.Errorf("%s: outcome %+v, want unknown after %v", f.Name(), o, want)
			}
		})
	}
}

func TestTransportInsideTheProcess(t *testing.T) {
	tests := map[string]struct {
		err  error
		want wire.Kind
	}{
		"dial":  {&net.OpError{Op: "dial", Err: errors.New("refused")}, wire.Retry},
		"write": {&net.OpError{Op: "write", Err: errors.New("broken pipe")}, wire.Unknown},
		"any":   {io.ErrUnexpectedEOF, wire.Unknown},
	}
	for name, tt := range tests {
		c := newClient(t, "http://receiver", delivery.Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, tt.err })})
		if o := c.Send(t.Context(), request(1)); o.Kind != tt.want {
			t.Errorf("%s: outcome %+v, want %s", name, o, tt.want)
		}
	}
}

func TestMistakesAreRefusedAtOnceAndTogether(t *testing.T) {
	_, err := delivery.New("receiver:3000", wire.DotAI(), delivery.Options{CA: []byte("no PEM"), Timeout: -1})
	for _, want := range []string{"want a complete http or https URL", "timeout is", "CA bundle holds no certificate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want ...%s...", err, want)
		}
	}
	for _, endpoint := range []string{"", "ftp://x", "http://", "/api", "http://user:s3cr3t@x/", "http://u:s3cr3t@x:%zz/"} {
		if _, err := delivery.New(endpoint, wire.DotAI(), delivery.Options{}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("endpoint %q gives %v", endpoint, err)
		}
	}
}
