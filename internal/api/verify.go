package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Verifications compares the indexes of the fleet with the cluster. A verification outlives the request that
// started it.
type Verifications interface {
	// StartVerification has the whole fleet verify one type, or all for an empty name, and returns at once. Equal
	// requests are one verification. Errors are those of [Resyncer.StartResync].
	StartVerification(ctx context.Context, resource string) (Verification, error)
	// WaitVerification blocks until the verification has finished and returns it, or until ctx ends and returns its
	// error. It returns a [*NotFoundError] for an unknown one.
	WaitVerification(ctx context.Context, id string) (Verification, error)
	// Verification returns one verification, running or recent.
	Verification(id string) (v Verification, ok bool)
	// Verifications returns the running and recent verifications, newest first, and a bounded number of them.
	Verifications() []Verification
}

// Verification is a comparison of the fleet's indexes with complete lists.
type Verification struct {
	// ID names it, on every member.
	ID string `json:"id"`
	// Status is running, done, or failed when some type has no verdict.
	Status OperationStatus `json:"status"`
	// Resource is that of the request; absent for all.
	Resource string `json:"resource,omitempty"`
	// Member is the replica that was asked.
	Member string `json:"member"`
	// StartedAt is when it began.
	StartedAt time.Time `json:"startedAt"`
	// FinishedAt is when it ended, absent while it runs.
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// Types counts types that have their verdict.
	Types Progress `json:"types"`
	// Verdicts are those of each type, ordered by name.
	Verdicts List[TypeVerdict] `json:"verdicts"`
	// Message is a sentence for people.
	Message string `json:"message"`
}

// TypeVerdict is the result of comparing all replicas' indexes of one type with a list.
type TypeVerdict struct {
	// Type is fully qualified, such as deployments.v1.apps.
	Type string `json:"type"`
	// Verdict is pending, equal, repaired or failed.
	Verdict Verdict `json:"verdict"`
	// Objects is how many the list had.
	Objects int `json:"objects"`
	// Repaired are the replicas that differed, and have listed anew.
	Repaired List[string] `json:"repaired"`
	// Error is why there is no verdict.
	Error string `json:"error,omitempty"`
}

// Verdict is the result of comparing an index with a list.
type Verdict string

const (
	// VerdictPending means that some replica has not compared yet.
	VerdictPending Verdict = "pending"
	// VerdictEqual means that the index of every replica equals the list.
	VerdictEqual Verdict = "equal"
	// VerdictRepaired means that the index of some replica differed, and has been repaired.
	VerdictRepaired Verdict = "repaired"
	// VerdictFailed means that the type could not be listed, which proves nothing.
	VerdictFailed Verdict = "failed"
)

// postVerify starts a verification, and waits for its end unless told otherwise.
func (s *Server) postVerify(w http.ResponseWriter, r *http.Request) {
	if !s.resyncs.Allow() {
		w.Header().Set("Retry-After", "1")
		s.writeError(w, http.StatusTooManyRequests, "too many verifications are asked for; try again in a second")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c, err := parseCall(r, call{wait: true, timeout: s.wait}, verifyFields)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.extendDeadline(w, startTimeout+c.timeout+writeGrace)
	v, err := s.backend.StartVerification(r.Context(), c.Resource)
	switch {
	case err != nil:
		s.fail(w, r, err)
	case !c.wait:
		s.verifying(w, v)
	default:
		s.awaitVerification(w, r, v, c.timeout)
	}
}

// awaitVerification answers when it has finished, the timeout has passed, or this server stops.
func (s *Server) awaitVerification(w http.ResponseWriter, r *http.Request, v Verification, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	done, err := s.backend.WaitVerification(ctx, v.ID)
	switch {
	case err == nil:
		s.writeJSON(w, http.StatusOK, done)
	case stopping(r):
		s.writeJSON(w, http.StatusServiceUnavailable, Error{
			Status: "error", Operation: v.ID, Message: "this replica is stopping and can wait no longer; ask another one for the verification",
		})
	case r.Context().Err() != nil:
		w.WriteHeader(clientGone)
	case ctx.Err() != nil:
		if now, ok := s.backend.Verification(v.ID); ok {
			v = now
		}
		s.verifying(w, v)
	default:
		s.fail(w, r, err)
	}
}

// verifying answers with a verification that still runs.
func (s *Server) verifying(w http.ResponseWriter, v Verification) {
	w.Header().Set("Location", "/api/v1/verify/"+url.PathEscape(v.ID))
	s.writeJSON(w, http.StatusAccepted, v)
}

func (s *Server) getVerifications(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, VerificationList{Verifications: s.backend.Verifications()})
}

// VerificationList is the answer of GET /api/v1/verify.
type VerificationList struct {
	// Verifications are the running and recent ones, newest first.
	Verifications List[Verification] `json:"verifications"`
}

func (s *Server) getVerification(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	v, ok := s.backend.Verification(id)
	if !ok {
		var ids []string
		for _, o := range s.backend.Verifications() {
			ids = append(ids, o.ID)
		}
		s.fail(w, r, &NotFoundError{What: "verification", Name: id, Suggestions: Nearest(id, ids)})
		return
	}
	s.writeJSON(w, http.StatusOK, v)
}
