package receiver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"syscall"
)

// Transport returns a transport that reaches this receiver without a socket, whatever the URL's host says. It is
// for tests in a synctest bubble, where sockets do not belong. A request whose context ends returns at once with
// the context's error, while the receiver goes on with it, as behind a socket. A reset is [syscall.ECONNRESET].
//
// The goroutine of each request ends with the handler; Close waits for it.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper]. As the interface demands, the request's body is read and closed.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RemoteAddr = "in-process"
	in.RequestURI = r.URL.RequestURI()
	if r.Body == nil {
		in.Body = http.NoBody
	} else {
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("reading request body: %w", err)
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	done := make(chan *reply, 1)
	served, cancel := context.WithCancel(r.Context()) // a server's context ends with the handler too
	in = in.WithContext(served)
	go func() {
		defer cancel()
		w := &reply{header: http.Header{}}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // It is what was thrown.
				panic(p) //nolint:forbidigo // Somebody else's, handed on as net/http does.
			}
			done <- w
		}()
		t.s.serve(w, in)
	}()
	select {
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	case w := <-done:
		if w.status == 0 {
			return nil, fmt.Errorf("reading response: %w", syscall.ECONNRESET)
		}
		return w.response(r), nil
	}
}

// reply is an [http.ResponseWriter] into memory. It belongs to the handler until the handler returns.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *reply) Header() http.Header { return w.header }

func (w *reply) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *reply) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *reply) response(r *http.Request) *http.Response {
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}
}
