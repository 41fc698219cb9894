package watch

import (
	"context"
	"errors"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// Reason is the class of an error. Errors of one class need the same remedy. Reasons are label values of
// metrics.
type Reason string

// The reasons.
const (
	// Forbidden: this process may not list or watch the type (403).
	Forbidden Reason = "forbidden"
	// Unauthorized: the credential was not accepted (401).
	Unauthorized Reason = "unauthorized"
	// NotFound: the server does not serve the type (404, 405).
	NotFound Reason = "not_found"
	// Expired: the version to continue from is compacted (410). It leads to a new list and is no failure.
	Expired Reason = "expired"
	// Throttled: the server asked for fewer requests (429).
	Throttled Reason = "throttled"
	// Unavailable: the server, or the aggregated one behind it, cannot be reached or is not ready.
	Unavailable Reason = "unavailable"
	// ServerError: the server failed (500), as it does when a conversion webhook is broken.
	ServerError Reason = "server_error"
	// Undecodable: the answer is no metadata.
	Undecodable Reason = "undecodable"
	// Unanswered: a request or a stream was ended because nothing came.
	Unanswered Reason = "unanswered"
	// Other: any other error.
	Other Reason = "other"
)

// reasons lists all reasons, so that metrics can start at zero.
var reasons = []Reason{
	Forbidden, Unauthorized, NotFound, Expired, Throttled, Unavailable, ServerError, Undecodable, Unanswered, Other,
}

// ReasonFor classifies an error by its type. It returns the empty Reason for nil.
func ReasonFor(err error) Reason {
	var (
		status apierrors.APIStatus
		netErr net.Error
	)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, reflector.ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return Unanswered
	case apierrors.IsForbidden(err):
		return Forbidden
	case apierrors.IsUnauthorized(err):
		return Unauthorized
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return NotFound
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return Expired
	case apierrors.IsTooManyRequests(err):
		return Throttled
	case errors.As(err, &status):
		return reasonForCode(status.Status())
	case errors.Is(err, reflector.ErrShort), utilnet.IsConnectionRefused(err), utilnet.IsProbableEOF(err), errors.As(err, &netErr):
		return Unavailable
	default:
		return Other
	}
}

func reasonForCode(s metav1.Status) Reason {
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			if c.Type == "ClientWatchDecoding" {
				return Undecodable
			}
		}
	}
	switch {
	case s.Code == 500:
		return ServerError
	case s.Code == 406, s.Code == 415:
		return Undecodable
	case s.Code > 500, s.Reason == metav1.StatusReasonTimeout, s.Reason == metav1.StatusReasonServiceUnavailable:
		return Unavailable
	default:
		return Other
	}
}
