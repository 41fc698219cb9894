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

// Target is one declared receiver, complete and valid. It is never changed after it was handed out: a changed object
// yields a new one.
type Target struct {
	// Name is <namespace>.<name> of the object: unambiguous, because a namespace has no dot, and never that of a
	// receiver of the environment, which has none either. At most 317 bytes.
	Name string
	// Namespace and Object name the object.
	Namespace, Object string
	// UID and Generation tell one state of the spec from another: of one name, two that are equal are the same.
	UID        types.UID
	Generation int64
	// Endpoint is the receiver: http or https, with a host, without user, query and fragment.
	Endpoint *url.URL
	// Format is what the receiver speaks.
	Format wire.Format
	// CABundle is PEM of the authorities to trust beside the system's; nil for none.
	CABundle []byte
	// Token returns the bearer token of this moment, for each request anew, or an error that says what is missing and
	// holds no secret. It has the signature of [delivery.TokenSource].
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

// maxWaitWindows is the max wait of a declared receiver, which its object does not say, in debounce windows;
// a minute at least.
const maxWaitWindows = 6

// MaxWait is how long a restless object waits at most.
func (t Target) MaxWait() time.Duration { return max(maxWaitWindows*t.Debounce, time.Minute) }

// Targets runs receivers. Its methods are called by one goroutine, never two at a time, and must not block for longer
// than it takes to start one.
type Targets interface {
	// Set starts the target, or puts it in the place of the one that runs under its name. The others are not touched.
	// After an error nothing runs under that name; Set is called again every ten seconds.
	Set(t Target) error
	// Stop stops the target of that name, if it runs. What is known of the receiver is kept: it may come back.
	Stop(name string)
	// Remove stops the target of that name, if it runs, and forgets all that is known of the receiver, at
	// which it deletes nothing.
	Remove(name string)
	// Known says which targets there are, running or not, once all objects have been read: what earlier lives know of
	// others is forgotten. It is called once, and in spite of the above at any time.
	Known(names []string)
	// Retry says that the credential of a running target has changed: a receiver that is in trouble is tried at once.
	Retry(name string)
	// Report returns what is known of a running target; ok is false as long as nothing is.
	Report(name string) (r status.Report, ok bool)
	// Owns tells whether this member is to write the status of the object, running or not. When members disagree for a
	// moment, two may write, or none.
	Owns(name string) bool
}
