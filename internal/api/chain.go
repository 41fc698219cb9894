package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// chain wraps the handlers that every request passes, outermost first: counting, recovery from panics, headers, the
// refusal of foreign web pages, and authorization.
func (s *Server) chain(next http.Handler) http.Handler {
	// The API is open inside the cluster, and people reach it through a port-forward on their own machine. Without
	// this protection, any web page that they visit could start a resync. It looks at headers that only browsers send.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.writeError(w, http.StatusForbidden, "a web page of another origin must not do this")
	}))
	return s.count(s.recover(headers(origin.Handler(s.authorized(next)))))
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	code int // 0 until the handler has written something
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			route := r.Pattern // set by the mux; empty when the request was refused before it
			if route == "" || route == otherPath {
				route = "other"
			}
			if rec.code == 0 { // net/http sends 200 for a handler that wrote nothing
				rec.code = http.StatusOK
			}
			s.metrics.ended(route, r.Method, rec.code)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recover turns a panic into 500 and a log line with its stack. If the answer has begun, it cuts the connection, so
// that no client takes half an answer for a whole one.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			s.metrics.panics.Inc()
			s.log.Error(fmt.Errorf("panic: %v", p), "Request panicked", "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.code != 0 {
				panic(http.ErrAbortHandler)
			}
			s.writeError(w, http.StatusInternalServerError, "the request failed here; the log of this replica says why")
		}()
		next.ServeHTTP(w, r)
	})
}

// headers sets the headers that browsers need with every answer. Pages replace the policy by one that allows their
// style sheet.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) authorized(next http.Handler) http.Handler {
	if s.authorize == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed, code, err := s.authorize(r)
		if allowed {
			next.ServeHTTP(w, r)
			return
		}
		s.refuse(w, r, code, err)
	})
}

// refuse answers a request that is not allowed.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, code int, err error) {
	if code < 400 || code > 599 { // a refusal without a usable status stays a refusal
		code = http.StatusForbidden
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="k8s-vectordb-sync"`)
	}
	msg := http.StatusText(code)
	switch {
	case code >= 500:
		s.log.Error(err, "Authorizing a request failed", "path", r.URL.Path)
	case err != nil:
		msg = err.Error()
	}
	s.writeError(w, code, msg)
}
