package membership

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Options identify the member and its timings.
type Options struct {
	// RingName tells the rings of one namespace apart; a DNS label such as the name of the release. Required.
	RingName string
	// Namespace is the namespace of the Leases. Required.
	Namespace string
	// PodName is the member's name in the ring. A name that comes back after a restart keeps the ring still.
	// Required.
	PodName string
	// PodUID must differ from that of any other process that may still run under PodName. A process with another UID
	// waits until the earlier one is known to be gone; one with the same UID does not. Required.
	PodUID string
	// Timings default to [ownership.DefaultTimings].
	Timings ownership.Timings
	// Format defaults to [ring.DefaultFormat].
	Format ring.Format
	// Drainer lets requests in flight end. Without one, no request is ever in flight.
	Drainer Drainer
	// Objects counts the objects that we own, for a metric. Each scrape calls it. nil counts none.
	Objects func() int
	// Hold keeps us from joining until [Membership.Proceed] is called, unless no other member does the work.
	Hold bool
	// Admission keeps MaySend false for our gains until [Membership.Admit] is called.
	Admission bool
	// Duty names what this replica sends and where, as a short text without spaces. Members with different duties
	// form no ring: those of one duty work, the others wait until they are gone.
	Duty string
	// Restored is called when the Leases show that the cluster has gone back in time, because its etcd was restored
	// from a backup. It must not block, and must not call back. nil is not called.
	Restored func()
	// Streams count the events of the watch; nil counts nothing.
	Streams *reflector.Metrics
	// Log defaults to no log.
	Log logr.Logger
	// Registerer takes the metrics; nil keeps them to ourselves. They carry the labels ring and member.
	Registerer prometheus.Registerer
	// Now is the monotonic time since any fixed moment. The default goes on while the machine is suspended, where
	// the system has such a clock. It must not be slower than the clocks of the other members by more than
	// Timings.LeaseDuration / Timings.RenewDeadline.
	Now func() time.Duration
}

// Drainer is implemented by senders.
type Drainer interface {
	// Drain is called before some of our area is given away; MaySend is false for it already. Drain must not block.
	// The channel is closed when no request is in flight for the lost area.
	//
	// The sender must mark a request as in flight before it asks MaySend for it, and take the mark back when the
	// answer is no. Otherwise a request could slip through between the question and the mark. A later call replaces
	// earlier ones, whose channels are not read any more.
	Drain(lost ownership.Area) <-chan struct{}
}

func (o *Options) complete() error {
	if o.Timings == (ownership.Timings{}) {
		o.Timings = ownership.DefaultTimings()
	}
	if o.Format == (ring.Format{}) {
		o.Format = ring.DefaultFormat()
	}
	if o.Log.GetSink() == nil {
		o.Log = logr.Discard()
	}
	if o.Now == nil {
		o.Now = newClock()
	}
	var errs []error
	for _, e := range validation.IsDNS1123Label(o.RingName) {
		errs = append(errs, fmt.Errorf("ring name is %q: %s", o.RingName, e))
	}
	for _, e := range validation.IsDNS1123Label(o.Namespace) {
		errs = append(errs, fmt.Errorf("namespace of the leases is %q: %s", o.Namespace, e))
	}
	for _, e := range validation.IsDNS1123Subdomain(o.RingName + "-" + o.PodName) {
		errs = append(errs, fmt.Errorf("pod name is %q: %s", o.PodName, e))
	}
	if o.PodUID == "" || strings.ContainsAny(o.PodUID, " \n") {
		errs = append(errs, fmt.Errorf("pod UID is %q, want one without spaces", o.PodUID))
	}
	errs = append(errs, o.Timings.Validate(), o.Format.Validate())
	return errors.Join(errs...)
}

// ErrFenced says that nothing may be sent because the Lease could not be renewed in time, or has been lost.
// Requests that were in flight have an unknown outcome.
var ErrFenced = errors.New("fenced: the lease has not been renewed in time")

// PermissionError says that the API server refuses a request for Leases that a member needs.
type PermissionError struct {
	// Verb is the refused verb: list, watch, create, get or update.
	Verb string
	// Namespace is the namespace of the refused request.
	Namespace string
	// Err is the server's answer.
	Err error
}

// Error names the missing permission.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("not allowed to %s leases.coordination.k8s.io in namespace %s, want a Role with get, list, watch, create, update and delete: %v", e.Verb, e.Namespace, e.Err)
}

// Unwrap returns the server's answer.
func (e *PermissionError) Unwrap() error { return e.Err }
