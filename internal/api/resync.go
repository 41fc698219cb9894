package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

const (
	// startTimeout bounds the start of a resync, which may read the list of namespaces and tells the fleet.
	startTimeout = 30 * time.Second
	// writeGrace is the time left to write an answer after the wait for it.
	writeGrace = 10 * time.Second
)

// postResync starts a resync, and waits for its end unless told otherwise.
func (s *Server) postResync(w http.ResponseWriter, r *http.Request) {
	if !s.resyncs.Allow() {
		w.Header().Set("Retry-After", "1")
		s.writeError(w, http.StatusTooManyRequests, "too many resyncs are asked for; try again in a second")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c, err := parseCall(r, call{Request: Request{Scope: ScopeFleet}, wait: true, timeout: s.wait}, fields)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if c.Force && !s.mayDestroy(w, r) {
		return
	}
	s.extendDeadline(w, startTimeout+c.timeout+writeGrace)
	op, err := s.start(r.Context(), c.Request)
	switch {
	case stopping(r) && err != nil:
		s.writeError(w, http.StatusServiceUnavailable, "this replica is stopping; ask another one")
	case err != nil:
		s.fail(w, r, err)
	case !c.wait:
		s.accepted(w, op)
	default:
		s.await(w, r, op, c.timeout)
	}
}

// start starts a resync. A client that goes away meanwhile must not leave it half started, so only the stop of the
// server, or the timeout, ends the attempt.
func (s *Server) start(ctx context.Context, r Request) (Operation, error) {
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), errStopping) {
			cancel()
		}
	})()
	return s.backend.StartResync(attempt, r)
}

// stopping tells whether a request ended because the server stops.
func stopping(r *http.Request) bool { return errors.Is(context.Cause(r.Context()), errStopping) }

// await answers when the operation has finished, the timeout has passed, or this server stops.
func (s *Server) await(w http.ResponseWriter, r *http.Request, op Operation, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	done, err := op, error(nil)
	if !op.Status.Finished() {
		done, err = s.backend.WaitResync(ctx, op.ID)
	}
	switch {
	case err == nil && done.Status == OperationDone:
		s.writeJSON(w, http.StatusOK, result(done))
	case err == nil && done.Status == OperationFailed:
		msg := done.Message
		if msg == "" {
			msg = "the resync failed"
		}
		s.writeJSON(w, http.StatusInternalServerError, Error{Status: "error", Message: msg, Operation: op.ID})
	case stopping(r):
		s.writeJSON(w, http.StatusServiceUnavailable, Error{
			Status: "error", Operation: op.ID,
			Message: "this replica is stopping and can wait no longer; ask another one for the resync",
		})
	case r.Context().Err() != nil:
		w.WriteHeader(clientGone)
	case err == nil || ctx.Err() != nil:
		if now, ok := s.backend.Resync(op.ID); ok {
			op = now
		}
		s.accepted(w, op)
	default:
		s.fail(w, r, err)
	}
}

// accepted answers with an operation that still runs.
func (s *Server) accepted(w http.ResponseWriter, op Operation) {
	w.Header().Set("Location", "/api/v1/resync/"+url.PathEscape(op.ID))
	s.writeJSON(w, http.StatusAccepted, op)
}

// extendDeadline lets a request live longer than the server's timeout for writing. (The timeout for reading ends
// with the body.) Without a connection there is no deadline to extend.
func (s *Server) extendDeadline(w http.ResponseWriter, d time.Duration) {
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.V(1).Info("Extending the deadline of a request failed", "error", err.Error())
	}
}

func (s *Server) getResyncs(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, Operations{Operations: s.backend.Resyncs()})
}

func (s *Server) getResync(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	op, ok := s.backend.Resync(id)
	if !ok {
		var ids []string
		for _, o := range s.backend.Resyncs() {
			ids = append(ids, o.ID)
		}
		s.fail(w, r, &NotFoundError{What: "resync", Name: id, Suggestions: Nearest(id, ids)})
		return
	}
	s.writeJSON(w, http.StatusOK, op)
}
