// Package discovery tells which resource types to watch, even while the API server cannot answer completely.
//
// For every group-resource that can be listed and watched, discovery takes one version, the preferred one. If
// several groups serve the same objects, it takes one group (see aliases.go). A [Change] is the whole set, with
// the changes that led to it; the caller watches Types, migrates Migrated, and cleans up Removed.
//
// An absent type is not deleted without evidence. A type leaves the set when
//
//   - a watch saw the deletion of its CustomResourceDefinition or APIService, and a later discovery, without an
//     error in its group, lacks it; or
//   - two complete discoveries in a row, at least [Options.Doubt] apart, lack it, and its
//     CustomResourceDefinition is not known to be there.
//
// Discovery leaves a version for another one when it is not served any more, or when no complete answer has
// preferred it for five minutes. While the servers behind a load balancer are upgraded, the preferred version
// depends on the server that answers.
//
// A group that fails, in any version, keeps its known types. Discovery neither removes one of them, nor moves it
// to a version that happened to answer. It takes an empty answer, or one without the core group, for a failure.
//
//	                    served
//	         ┌───────────────────────────┐
//	         ▼                           │
//	    ┌────────┐  not in an answer ┌─────────┐  evidence  ┌─────────┐
//	───▶│ Served │──────────────────▶│ Missing │───────────▶│ Removed │
//	    └────────┘                   └─────────┘            └─────────┘
//	    in Types                     in Types               told once
//
// Discovery asks the API server when a CustomResourceDefinition or an APIService changes, and by a timer. It
// reads only names and generations of those objects. After a definition is created or deleted, discovery asks
// within about a second. It repeats that a few times, because an API server serves a new type a little after the
// creation of its definition. After a change of a spec it asks at a limited pace (pace.go), and after other
// writes not at all. Without the right to watch definitions it has only the timer.
//
// The decisions are pure functions of answers, evidence and the time (state.go); the loop asks and waits
// (discovery.go). [Discovery.Run] blocks; [Discovery.Status] may be called from any goroutine.
package discovery
