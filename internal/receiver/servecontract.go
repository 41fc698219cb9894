package receiver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// bodyCeiling bounds the memory of one request, where the real receiver has no limit.
	bodyCeiling = 64 << 20
	// drainCeiling is how much of a refused body is still read, so that its sender sees the answer and no reset.
	drainCeiling = 32 << 20
)

var errBodyTooLarge = errors.New("body exceeds what the reference receiver holds")

// serveContract handles one request of a real receiver's endpoint, from its record's beginning to its end.
func (s *Server) serveContract(w http.ResponseWriter, r *http.Request, c contract) {
	client := r.Context()
	f := s.recorder.begin(client, Record{
		Kind: c.kind(), Method: r.Method, Path: r.URL.Path, Remote: r.RemoteAddr, Sender: senderOf(r),
	})
	a := s.answer(client, r, c, f)
	s.recorder.end(client, f, a.status, a.message())
	if a.status == 0 {
		reset(w)
		return
	}
	a.write(w)
}

func senderOf(r *http.Request) string {
	if m := r.Header.Get(SenderHeader); m != "" {
		return m
	}
	return r.UserAgent()
}

// answer finds the answer to a request. The zero answer stands for a reset.
func (s *Server) answer(client context.Context, r *http.Request, c contract, f *flight) answer {
	if a := c.precheck(r); a != nil {
		_, _ = io.CopyN(io.Discard, r.Body, drainCeiling) // a courtesy; the answer is the same without it
		return *a
	}
	body, err := readBody(r.Body)
	switch {
	case errors.Is(err, errBodyTooLarge):
		return textAnswer(http.StatusRequestEntityTooLarge, err.Error())
	case err != nil: // the client left in the middle of its body, or broke the protocol
		return answer{}
	}
	p, early := c.parse(r, body)
	if early != nil {
		s.recorder.received(f, payload{}, int64(len(body)))
		return *early
	}
	puts, err := packAll(&p, f.rec.Seq)
	if err != nil {
		return textAnswer(http.StatusInternalServerError, err.Error())
	}
	s.recorder.received(f, p, int64(len(body)))

	d := s.faults.decide(subject{kind: f.rec.Kind, path: f.rec.Path, sender: f.rec.Sender, payload: p}, time.Now())
	if d.rule != "" {
		s.recorder.faulted(f, d.rule)
	}
	return s.perform(c, s.newApplication(client, f, p, puts, d))
}

// readBody reads all of a body, up to the ceiling.
func readBody(body io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, bodyCeiling+1))
	if err == nil && len(b) > bodyCeiling {
		_, _ = io.CopyN(io.Discard, body, drainCeiling)
		return nil, errBodyTooLarge
	}
	return b, err
}

// packAll packs the upserts and completes their hashes.
func packAll(p *payload, seq uint64) ([]keyed, error) {
	puts := make([]keyed, len(p.upserts))
	for i := range p.upserts {
		d := &p.upserts[i]
		d.Request = seq
		packed, err := pack(*d)
		if err != nil {
			return nil, err
		}
		d.Hash = packed.hash
		puts[i] = keyed{d.ID, packed}
	}
	return puts, nil
}

// perform runs the effects of a fault around the application, in the order that [Effect] promises.
func (s *Server) perform(c contract, a *application) answer {
	e := a.effect
	if err := s.pause(time.Duration(e.Delay)); err != nil {
		return answer{}
	}
	if e.Hang != 0 {
		_ = s.hold(a.client, e.Hang, s.releases()) // however the wait ends, no answer follows
		return answer{}
	}
	if !e.Applied && (e.Reset || e.Status != 0) {
		return s.interrupted(e)
	}
	if e.Refuse != "" {
		return c.refuse(e.Refuse, a.fault.upserts, a.fault.deletes)
	}
	if e.ApplyLate != 0 {
		if err := s.hold(context.Background(), e.ApplyLate, s.releases()); err != nil {
			return answer{}
		}
	}
	said := c.apply(a)
	if err := s.docs.wait(a.ticket); err != nil {
		s.opts.Logger.Error(err, "Failed to keep documents")
		return textAnswer(http.StatusInternalServerError, err.Error())
	}
	select {
	case <-s.stop:
		if said.status >= http.StatusInternalServerError {
			return answer{} // a pause was cut short by Close; the error is not the contract's
		}
	default:
	}
	if e.Applied && (e.Reset || e.Status != 0) {
		return s.interrupted(e)
	}
	return said
}

// interrupted is the answer of Status or Reset.
func (s *Server) interrupted(e Effect) answer {
	if e.Reset {
		return answer{}
	}
	body := e.Body
	if body == "" {
		body = `{"error":"Injected by a fault"}`
	}
	a := textAnswer(e.Status, body)
	switch {
	case strings.HasPrefix(body, "{"):
		a.contentType = "application/json"
	case strings.HasPrefix(body, "<"):
		a.contentType = "text/html"
	}
	if e.RetryAfter != "" {
		a.header = map[string]string{"Retry-After": e.RetryAfter}
	}
	return a
}

// reset closes the connection so that the client sees a TCP reset, or as roughly as the connection allows.
func reset(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // makes Close send RST
			}
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler) // net/http does not log this panic
}
