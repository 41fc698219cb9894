package receiver

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// application is one payload that is being applied. It belongs to one goroutine and does not end with its client.
type application struct {
	srv     *Server
	flight  *flight
	client  context.Context // asked only whether the client is still connected
	payload payload
	puts    []keyed // the upserts, packed
	fault   decision
	effect  Effect

	store   string
	matched map[int]bool // upserts that the fault matched
	settled bool
	ticket  uint64
}

func (s *Server) newApplication(client context.Context, f *flight, p payload, puts []keyed, d decision) *application {
	a := &application{srv: s, flight: f, client: client, payload: p, puts: puts, fault: d, effect: d.effect, store: f.rec.Kind}
	if d.effect.Partial != "" {
		a.matched = make(map[int]bool, len(d.upserts))
		for _, i := range d.upserts {
			a.matched[i] = true
		}
	}
	return a
}

// embed calls the simulated embedder with n texts of cluster-whisperer, which gives up after three quick tries.
func (a *application) embed(n int) error {
	a.srv.recorder.embedded(a.flight, n)
	took := a.srv.opts.EmbedLatency + time.Duration(a.effect.EmbedderDelay) + time.Duration(n)*time.Duration(a.effect.TextDelay)
	if err := a.srv.pause(took); err != nil {
		return err
	}
	if a.effect.Embedder != 0 {
		return &embedderError{status: a.effect.Embedder}
	}
	return nil
}

// embedOne calls the simulated embedder with one text of dot-ai, unless the circuit is open.
func (a *application) embedOne() error {
	if wait := a.srv.circuit.remaining(time.Now()); wait > 0 {
		return fmt.Errorf("Failed to generate embedding: Embedding API circuit open: Circuit 'embedding-api' is open. Retry after %dms",
			wait.Milliseconds())
	}
	err := a.embed(1)
	a.srv.circuit.report(err == nil, time.Now())
	return err
}

// embedderError is the embedder's refusal, worded as the real receivers pass it on.
type embedderError struct{ status int }

func (e *embedderError) Error() string {
	return fmt.Sprintf("%s\nStatus code: %d", http.StatusText(e.status), e.status)
}

// settle delays the first write of a request whose client has gone, as a slow receiver would.
func (a *application) settle() error {
	if a.settled || a.client.Err() == nil {
		return nil
	}
	a.settled = true
	return a.srv.pause(a.srv.opts.Settle)
}

// put stores upserts [from, to).
func (a *application) put(from, to int) error {
	if from == to {
		return nil
	}
	if err := a.settle(); err != nil {
		return err
	}
	unchanged, ticket, err := a.srv.docs.apply(write{Store: a.store, Puts: a.puts[from:to]})
	if err != nil {
		return err
	}
	a.ticket = max(a.ticket, ticket)
	a.srv.recorder.written(a.flight, from, unchanged)
	return nil
}

// remove deletes documents; unknown ones are no error.
func (a *application) remove(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := a.settle(); err != nil {
		return err
	}
	_, ticket, err := a.srv.docs.apply(write{Store: a.store, Deletes: ids})
	if err != nil {
		return err
	}
	a.ticket = max(a.ticket, ticket)
	a.srv.recorder.deleted(a.flight)
	return nil
}

// failing says why the store fails for upsert i, if a fault makes it.
func (a *application) failing(i int) (string, bool) { return a.effect.Partial, a.matched[i] }
