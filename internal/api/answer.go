package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// retryAfter is how many seconds a client is told to wait while the replica starts.
const retryAfter = 5

// clientGone is the status under which a request is counted if its client hung up. No client sees it.
const clientGone = 499

// writeJSON answers with a value. Values are the types of this package, which can always be encoded.
func (s *Server) writeJSON(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		s.log.Error(err, "Encoding an answer failed")
		http.Error(w, `{"status":"error","message":"encoding the answer failed","suggestions":[]}`, http.StatusInternalServerError)
		return
	}
	write(w, code, "application/json", b.Bytes())
}

// write answers with a body. No answer of this API may be cached: each is true for a moment only.
func write(w http.ResponseWriter, code int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // fails when the client has gone, and then there is no client to tell
}

// writeError answers with a code and a message.
func (s *Server) writeError(w http.ResponseWriter, code int, message string, suggestions ...string) {
	s.writeJSON(w, code, Error{Status: "error", Message: message, Suggestions: suggestions})
}

// fail answers with the status that belongs to the type of an error. The text of an error of unknown type goes only
// to the log: it may contain things that are not meant for the client.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var (
		notFound   *NotFoundError
		badRequest *BadRequestError
		mediaType  *mediaTypeError
		tooLarge   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &notFound):
		s.writeError(w, http.StatusNotFound, notFound.Error(), notFound.Suggestions...)
	case errors.As(err, &badRequest):
		s.writeError(w, http.StatusBadRequest, badRequest.Message, badRequest.Suggestions...)
	case errors.As(err, &mediaType):
		s.writeError(w, http.StatusUnsupportedMediaType, mediaType.Error())
	case errors.As(err, &tooLarge):
		s.writeError(w, http.StatusRequestEntityTooLarge, "the body is larger than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
	case errors.Is(err, ErrNotReady):
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		s.writeError(w, http.StatusServiceUnavailable, ErrNotReady.Error()+"; try again in some seconds")
	default:
		s.log.Error(err, "Request failed", "method", r.Method, "path", r.URL.Path)
		s.writeError(w, http.StatusInternalServerError, "the request failed here; the log of this replica says why")
	}
}
