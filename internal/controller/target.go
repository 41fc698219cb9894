package controller

import (
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Target is one declared receiver, complete and valid. It never changes after it was handed out: a changed object
// yields a new one.
type Target struct {
	// Name is <namespace>.<name> of the object. It is unambiguous, because a namespace has no dot, and it never equals
	// the name of the environment's receiver, which has none either. It has at most 317 bytes.
	Name string
	// Namespace and Object name the object.
	Namespace, Object string
	// UID and Generation tell one state of the spec from another: with equal name, UID and Generation, specs are
	// equal.
	UID        types.UID
	Generation int64
	// Endpoint is the receiver: http or https, with a host, without user, query and fragment.
	Endpoint *url.URL
	// Format is what the receiver speaks.
	Format wire.Format
	// CABundle is PEM of the authorities to trust beside the system's; nil for none.
	CABundle []byte
	// Token returns the present bearer token, and is called for each request. Its error says what is missing and holds
	// no secret. It has the signature of [delivery.TokenSource].
	Token func() (string, error)
	// Debounce and ResyncInterval are positive.
	Debounce, ResyncInterval time.Duration
	// MaxUpserts and MaxInFlight bound one request, and the requests of all members together.
	MaxUpserts, MaxInFlight int
	// Types, Namespaces and Selection narrow what the process watches and keeps; they cannot widen it.
	Types      resource.Filter
	Namespaces watch.NamespaceFilter
	Selection  resource.Selection
}

// maxWaitWindows is the max wait of a declared receiver in debounce windows, and a minute at least. Objects have no
// field for it.
const maxWaitWindows = 6

// MaxWait is how long a restless object waits at most.
func (t Target) MaxWait() time.Duration { return max(maxWaitWindows*t.Debounce, time.Minute) }

// Targets runs receivers. One goroutine calls its methods, never two at a time. They must not block for longer than
// it takes to start a receiver.
type Targets interface {
	// Set starts the target, or replaces the one that runs under its name. It does not touch the others. After an
	// error no target runs under that name; Set is called again every ten seconds.
	Set(t Target) error
	// Stop stops the target of that name, if it runs. It keeps the checkpoints of the receiver, which may come back.
	Stop(name string)
	// Remove stops the target of that name, if it runs, and forgets the checkpoints of the receiver. It deletes
	// nothing at the receiver.
	Remove(name string)
	// Known names all targets, running or not, once all objects have been read. The checkpoints of other targets,
	// which earlier processes left, are forgotten. It is called once, at any time in relation to the other methods.
	Known(names []string)
	// Retry says that the credential of a running target has changed: a receiver in trouble is tried at once.
	Retry(name string)
	// Report returns the state of a running target; ok is false as long as it is not known.
	Report(name string) (r status.Report, ok bool)
	// Owns tells whether this member is to write the status of the object, whose target may run or not. When members
	// disagree for a moment, two may write, or none.
	Owns(name string) bool
}
