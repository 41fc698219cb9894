package notice

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"

// Advice is the remedy for a receiver that takes nothing, by the kind of its trouble.
func Advice(k wire.Kind) string {
	switch k {
	case wire.Unauthorized:
		return "Put the right token into the Secret or file that it is read from; it is used at once."
	case wire.WrongEndpoint, wire.Unprocessable, wire.Refused, wire.TooLarge:
		return "Correct the endpoint, its path above all, and the format: what answers there is no such receiver."
	case wire.ServerError, wire.Partial, wire.Miscounted:
		return "See the receiver's log: it answers with errors of its own."
	case wire.Retry, wire.Unknown, wire.Delivered, wire.Fenced:
	}
	return "See whether it runs and can be reached from here; it is tried again at least once a minute."
}
