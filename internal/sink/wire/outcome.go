package wire

import "time"

// Kind is the result of a request. Its zero value is [Unknown], which promises nothing.
type Kind uint8

const (
	// Unknown: there was no answer after the first byte of the request was written (timeout, reset, EOF, our own
	// cancel). Or a proxy may have answered for a receiver that has read the request (502, 503, 504). Both receivers
	// finish a request whose client has gone, so it may be applied at once, later or never.
	Unknown Kind = iota
	// Delivered: the receiver confirmed every item.
	Delivered
	// Retry: the receiver could not be reached or took no request at that time. Not applied.
	Retry
	// ServerError: 500. The fault is transient, or that of one item: the receivers do not say.
	ServerError
	// Partial: all items but Failed are done.
	Partial
	// Miscounted: the receiver's count differs from the number of items sent, but is not 0. The answer does not say
	// which items it counts.
	Miscounted
	// Refused: no item was applied because of the items in Bad, which will never pass unchanged.
	Refused
	// Unprocessable: no item was applied because of an item that the answer does not name.
	Unprocessable
	// TooLarge: no item was applied because the body was too long for the receiver or a proxy.
	TooLarge
	// Unauthorized: no item was applied because of the credential.
	Unauthorized
	// WrongEndpoint: the server that answers is not the receiver, or did not understand the body.
	WrongEndpoint
	// Fenced: this process itself held the request back before its first byte was written (the fence, or a context
	// that had ended). Surely not applied; says nothing about the receiver.
	Fenced
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{Unknown, Delivered, Retry, ServerError, Partial, Miscounted, Refused, Unprocessable, TooLarge, Unauthorized, WrongEndpoint, Fenced}
}

// String returns the kind as metrics spell it, in snake_case.
func (k Kind) String() string {
	switch k {
	case Unknown:
		return "unknown"
	case Delivered:
		return "delivered"
	case Retry:
		return "retry"
	case ServerError:
		return "server_error"
	case Partial:
		return "partial"
	case Miscounted:
		return "miscounted"
	case Refused:
		return "refused"
	case Unprocessable:
		return "unprocessable"
	case TooLarge:
		return "too_large"
	case Unauthorized:
		return "unauthorized"
	case WrongEndpoint:
		return "wrong_endpoint"
	case Fenced:
		return "fenced"
	default:
		return "invalid"
	}
}

// ReceiverUp tells whether the kind proves that the receiver takes requests: it has read the body and judged it.
func (k Kind) ReceiverUp() bool {
	switch k {
	case Delivered, Partial, Miscounted, Refused, Unprocessable, TooLarge:
		return true
	default:
		return false
	}
}

// MaxReasonBytes bounds every reason, in bytes. So a reason fits into one log line or a condition.
const MaxReasonBytes = 256

// Outcome is the result of one request. Its zero value says that nothing is known.
type Outcome struct {
	// Kind decides what happens to the items.
	Kind Kind
	// Bad are the items refused for good, in ascending order and each once. Only for [Refused], and never empty
	// then.
	Bad []ItemError
	// Failed are the items to be sent again, in ascending order and each once; all others are done. Only for
	// [Partial], and never empty then.
	Failed []ItemError
	// RetryAfter is the pause that the receiver asked for, in a header or in the text of its circuit breaker; 0 when
	// it asked for none. It is not capped here. Only [Retry], [ServerError], [Partial] and [Unknown] (by 504) carry
	// one.
	RetryAfter time.Duration
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Reason is for logs and status: printable, at most [MaxReasonBytes] bytes, empty for [Delivered].
	Reason string
	// TimedOut tells that the answer did not come in time, by our clock or a gateway's: a smaller body may help.
	TimedOut bool
	// Own tells that this process caused the outcome, which says nothing about the receiver. Causes are the fence, a
	// cancelled context, and a body that could not be encoded. Always for [Fenced]; never set by Classify.
	Own bool
	// Took is the duration of the request, from before it was encoded until its outcome.
	Took time.Duration
	// Bytes is the length of the request's body.
	Bytes int
}
