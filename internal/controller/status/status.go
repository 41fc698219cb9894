// Package status says on a ResourceSyncConfig how its receiver is: it turns facts into the fields and the
// conditions of the status. It is pure, and equal facts make an equal status.
package status

import (
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// Problem is why a target cannot run, or cannot send.
type Problem struct {
	Reason  string // of the condition Ready
	Message string // the trouble and its remedy, without any secret
}

// Facts are the input of a status.
type Facts struct {
	Generation int64
	Problem    *Problem // why nothing can be sent, nil if it can
	Running    bool     // the target runs, which it may in spite of a problem
	Report     Report   // its zero value while nothing is known
}

// Report is the state of a running target: sums over all members, as far as each of them has reported. Its texts
// are for people and must not change while nothing happens, so they hold no durations and no counts that move.
type Report struct {
	// Active tells that types are being watched for the target.
	Active bool
	// WatchedTypes is how many types are watched.
	WatchedTypes int
	// InitialSync tells that some of the objects that existed at the start have not been delivered.
	InitialSync bool
	// Synced counts the objects that the receiver has acknowledged.
	Synced int64
	// SyncErrors counts requests that failed.
	SyncErrors int64
	// LastSync is when the receiver last acknowledged a delivery, and LastResync when a full resync last ended; zero
	// for never, or not known.
	LastSync, LastResync time.Time
	// LastError is the last failure, empty for none.
	LastError string
	// Dirty counts objects that the receiver may not have in their current state.
	Dirty int
	// Degraded tells that the receiver is in trouble for some member. Kind and Reason describe the trouble.
	Degraded bool
	Kind     wire.Kind
	Reason   string
	// Forbidden tells that some type may not be listed or watched.
	Forbidden bool
	// DiscoveryIncomplete names the wanted groups or types that cannot be discovered, listed or watched; empty when
	// there are none.
	DiscoveryIncomplete string
	// UnknownDeletes names the types whose deletions may have been missed without a source to find them; empty for
	// none.
	UnknownDeletes string
	// Overlooked are the resource types that the spec names and the controller does not watch, and the annotations
	// that it does not keep; empty for none.
	Overlooked string
	// GuardWaiting says which repairs wait for a person because they would delete too much; empty for none.
	GuardWaiting string
}

// Of returns the status for these facts. Fields on which the facts are silent stay as they are. They are the
// numbers and times of a target that does not run, the last error, and the time at which a condition changed.
func Of(old *v1alpha1.ResourceSyncConfigStatus, f Facts, now time.Time) v1alpha1.ResourceSyncConfigStatus {
	s := *old.DeepCopy()
	r := f.Report
	s.ObservedGeneration = f.Generation
	s.Active = f.Running && r.Active
	s.WatchedResourceTypes = 0
	if s.Active {
		s.WatchedResourceTypes = int32(min(r.WatchedTypes, math.MaxInt32))
	}
	if f.Running && r != (Report{}) {
		s.TotalResourcesSynced, s.SyncErrors = r.Synced, r.SyncErrors
		s.LastSyncTime = latest(s.LastSyncTime, r.LastSync)
		s.LastResyncTime = latest(s.LastResyncTime, r.LastResync)
		if r.LastError != "" {
			s.LastError = r.LastError
		}
	}
	if f.Problem != nil {
		s.LastError = f.Problem.Message
	}
	set := func(c metav1.Condition) {
		c.ObservedGeneration, c.LastTransitionTime = f.Generation, metav1.NewTime(now.Truncate(time.Second))
		meta.SetStatusCondition(&s.Conditions, c)
	}
	set(Ready(f))
	for _, c := range warnings(f) {
		set(c)
	}
	return s
}

// latest returns the later of two times, in whole seconds as the API stores them.
func latest(old *metav1.Time, seen time.Time) *metav1.Time {
	seen = seen.Truncate(time.Second)
	if seen.IsZero() || old != nil && !seen.After(old.Time) {
		return old
	}
	t := metav1.NewTime(seen)
	return &t
}

// Ready makes the condition Ready.
func Ready(f Facts) metav1.Condition {
	r := f.Report
	is := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		if status == metav1.ConditionTrue && r.Overlooked != "" {
			message += " The spec names what the controller does not watch or keep: " + r.Overlooked + "."
		}
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message}
	}
	switch {
	case f.Problem != nil:
		return is(metav1.ConditionFalse, f.Problem.Reason, f.Problem.Message)
	case r.Active && r.WatchedTypes == 0 && r.Forbidden:
		return is(metav1.ConditionFalse, v1alpha1.ReasonMissingPermissions,
			"The controller may list and watch none of the resource types that are to be sent. Grant its ServiceAccount list and watch on them: "+r.DiscoveryIncomplete)
	case r.Active && r.WatchedTypes == 0:
		return is(metav1.ConditionFalse, v1alpha1.ReasonNothingWatched,
			"No resource type is watched: spec.watchResourceTypes and spec.excludeResourceTypes leave none of those that the controller watches.")
	case r.Degraded:
		reason, message := trouble(r)
		return is(metav1.ConditionFalse, reason, message)
	case !r.Active:
		return is(metav1.ConditionFalse, v1alpha1.ReasonStarting, "The controller is starting to watch for this receiver.")
	case r.LastSync.IsZero() && r.Dirty > 0:
		return is(metav1.ConditionFalse, v1alpha1.ReasonStarting, "The receiver has not answered yet.")
	case r.InitialSync:
		return is(metav1.ConditionTrue, v1alpha1.ReasonInitialSync, "Everything is being sent for the first time.")
	}
	return is(metav1.ConditionTrue, v1alpha1.ReasonSyncing, "The receiver is kept in step with the cluster.")
}

// trouble describes the trouble of a receiver, and its remedy.
func trouble(r Report) (reason, message string) {
	why := ""
	if r.Reason != "" {
		why = ": " + r.Reason
	}
	switch r.Kind {
	case wire.Unauthorized:
		return v1alpha1.ReasonUnauthorized, "The receiver refuses the token" + why + ". Put the right one into the Secret that spec.mcpAuthSecretRef names; it is used at once."
	case wire.WrongEndpoint, wire.Unprocessable, wire.Refused, wire.TooLarge:
		return v1alpha1.ReasonWrongEndpoint, "What answers at spec.mcpEndpoint is not a receiver of spec.format" + why + ". Correct the URL, its path above all; with https see spec.caBundle as well."
	case wire.ServerError, wire.Partial, wire.Miscounted:
		return v1alpha1.ReasonReceiverFailing, "The receiver answers with errors of its own" + why + ". See its log; what it has not taken is sent again."
	case wire.Retry, wire.Unknown, wire.Delivered, wire.Fenced:
	}
	return v1alpha1.ReasonReceiverUnavailable, "The receiver cannot be reached, or takes nothing now" + why + ". It is tried again at least once a minute."
}

// warnings makes the conditions that are False when all is well.
func warnings(f Facts) []metav1.Condition {
	r := f.Report
	is := func(kind string, bad bool, reason, message, well string) metav1.Condition {
		switch {
		case !f.Running || !r.Active && !bad:
			return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotWatching, Message: "Nothing is being watched for this receiver."}
		case bad:
			return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
		}
		return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAsExpected, Message: well}
	}
	reason, message := trouble(r)
	missing := v1alpha1.ReasonTypesMissing
	if r.Forbidden {
		missing = v1alpha1.ReasonMissingPermissions
	}
	return []metav1.Condition{
		is(v1alpha1.ConditionReceiverDegraded, r.Degraded, reason, message, "The receiver takes what is sent."),
		is(v1alpha1.ConditionDiscoveryIncomplete, r.DiscoveryIncomplete != "", missing,
			fmt.Sprintf("Changes of these are not seen, and nothing of them is deleted: %s", r.DiscoveryIncomplete), "All resource types that are wanted are watched."),
		is(v1alpha1.ConditionDeletionsUnknown, r.UnknownDeletes != "", v1alpha1.ReasonNoRecord,
			fmt.Sprintf("Deletions while no replica ran are unknown, and the receiver may still hold their documents: %s", r.UnknownDeletes), "No deletion can have been missed."),
		is(v1alpha1.ConditionRepairWaiting, r.GuardWaiting != "", v1alpha1.ReasonTooManyDeletions,
			fmt.Sprintf("A repair would delete unusually much and waits for a resync with force: %s", r.GuardWaiting), "No repair is waiting."),
	}
}
