package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// resourcesContract is POST /api/v1/resources/sync of dot-ai.
type resourcesContract struct{ opts Options }

func (resourcesContract) kind() string { return KindResources }

// dotMeta goes with almost every answer of dot-ai.
type dotMeta struct {
	Timestamp string `json:"timestamp"`
	RequestID string `json:"requestId"`
	Version   string `json:"version"`
}

func newMeta() *dotMeta {
	now := time.Now()
	return &dotMeta{
		Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestID: fmt.Sprintf("rest_%d", now.UnixNano()),
		Version:   "v1",
	}
}

func dotSuccess(data any) answer {
	return jsonAnswer(http.StatusOK, struct {
		Success bool     `json:"success"`
		Data    any      `json:"data"`
		Meta    *dotMeta `json:"meta"`
	}{true, data, newMeta()})
}

// dotIssue is one finding of dot-ai's validation.
type dotIssue struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

func dotError(status int, code, message string, details any) answer {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details any    `json:"details,omitempty"`
	}
	meta := newMeta()
	if code == "INTERNAL_ERROR" {
		meta = nil // the error comes from the outermost handler, which knows of no request
	}
	return jsonAnswer(status, struct {
		Success bool     `json:"success"`
		Error   body     `json:"error"`
		Meta    *dotMeta `json:"meta,omitempty"`
	}{false, body{code, message, details}, meta})
}

func (c resourcesContract) precheck(r *http.Request) *answer {
	if a := unauthorized(r, c.opts); a != nil {
		return a
	}
	if r.Method != http.MethodPost {
		return new(methodNotAllowed("POST"))
	}
	if limit := c.opts.DotAIMaxBytes; limit > 0 && r.ContentLength > limit {
		return new(nginxTooLarge())
	}
	return nil
}

func methodNotAllowed(allow string) answer {
	a := dotError(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed for this endpoint", nil)
	a.header = map[string]string{"Allow": allow}
	return a
}

// nginxTooLarge is the answer of the ingress that usually stands in front of dot-ai.
func nginxTooLarge() answer {
	a := textAnswer(http.StatusRequestEntityTooLarge,
		"<html><head><title>413 Request Entity Too Large</title></head><body><h1>413 Request Entity Too Large</h1></body></html>")
	a.contentType = "text/html"
	return a
}

// unauthorized checks the bearer token. A server without a token accepts none.
func unauthorized(r *http.Request, opts Options) *answer {
	if opts.DotAIToken == "" && opts.Lenient {
		return nil
	}
	header := r.Header.Get("X-Dot-AI-Authorization")
	if header == "" {
		header = r.Header.Get("Authorization")
	}
	token, bearer := strings.CutPrefix(header, "Bearer ")
	if bearer && opts.DotAIToken != "" && sameSecret(token, opts.DotAIToken) {
		return nil
	}
	a := dotError(http.StatusUnauthorized, "UNAUTHORIZED", "Authentication required", nil)
	a.header = map[string]string{"WWW-Authenticate": `Bearer realm="dot-ai"`}
	return &a
}

// sameSecret compares two texts in a time that does not depend on them.
func sameSecret(a, b string) bool {
	ha, hb := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(ha[:], hb[:]) == 1
}

// syncResult is the data of a success and the details of a partial failure.
type syncResult struct {
	Upserted int           `json:"upserted"`
	Deleted  int           `json:"deleted"`
	Failures []itemFailure `json:"failures,omitempty"`
	Resync   *resyncResult `json:"resync,omitempty"`
}

type itemFailure struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

func (c resourcesContract) refuse(how string, upserts, deletes []int) answer {
	switch how {
	case RefuseWithPath:
		var issues []dotIssue
		for _, i := range upserts {
			issues = append(issues, dotIssue{itemPath("upserts", i) + ".name", "refused by a fault"})
		}
		for _, i := range deletes {
			issues = append(issues, dotIssue{itemPath("deletes", i) + ".name", "refused by a fault"})
		}
		return dotInvalid(issues)
	case RefuseWithoutPath:
		return dotInvalid(nil)
	default:
		return dotError(http.StatusInternalServerError, "SYNC_ERROR", "Refused by a fault", nil)
	}
}

func dotInvalid(issues []dotIssue) answer {
	if issues == nil {
		return dotError(http.StatusBadRequest, "VALIDATION_ERROR", "Invalid sync request", nil)
	}
	return dotError(http.StatusBadRequest, "VALIDATION_ERROR", "Invalid sync request", issues)
}

// apply writes one upsert after the other, each with its own call of the embedder, and then deletes. It lists items
// that fail, and applies all others.
func (c resourcesContract) apply(a *application) answer {
	if a.effect.StoreDown {
		return dotError(http.StatusServiceUnavailable, "VECTOR_DB_UNAVAILABLE", "Vector database is not available", nil)
	}
	if a.payload.resync && len(a.payload.upserts) > 0 {
		return c.resync(a)
	}
	var out syncResult
	for i, d := range a.payload.upserts {
		if err := c.upsert(a, i); err != nil {
			out.Failures = append(out.Failures, itemFailure{d.ID, err.Error()})
			continue
		}
		out.Upserted++
	}
	for i, id := range a.payload.deletes {
		if err := c.remove(a, i, id); err != nil {
			out.Failures = append(out.Failures, itemFailure{id, err.Error()})
			continue
		}
		out.Deleted++
	}
	if len(out.Failures) > 0 {
		return dotError(http.StatusBadRequest, "SYNC_PARTIAL_FAILURE",
			fmt.Sprintf("Sync completed with %d failures", len(out.Failures)), out)
	}
	return dotSuccess(out)
}

func (resourcesContract) upsert(a *application, i int) error {
	if err := a.embedOne(); err != nil {
		return err
	}
	if a.effect.CollectionLost {
		return errors.New("Not Found")
	}
	if reason, failing := a.failing(i); failing {
		return errors.New(reason)
	}
	return a.put(i, i+1)
}

func (c resourcesContract) remove(a *application, i int, id string) error {
	if err := a.srv.pause(c.opts.DeleteLatency); err != nil {
		return err
	}
	if a.effect.Partial != "" && contains(a.fault.deletes, i) {
		return errors.New(a.effect.Partial)
	}
	return a.remove([]string{id})
}
