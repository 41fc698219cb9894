// Package discovery tells which resource types are to be watched, and keeps telling the truth when the API server does
// not know it.
//
// Of every group-resource that can be listed and watched it takes one version, the preferred one, and of groups that
// serve the same objects one group (see aliases.go). A [Change] is the whole set with what led to it; the
// caller watches Types, migrates Migrated, and cleans up Removed.
//
// Absence of evidence is no deletion. A type leaves the set when
//
//   - its CustomResourceDefinition or APIService was seen to be deleted, and a discovery after that, without
//     an error in its group, lacks it; or
//   - two complete discoveries in a row, at least [Options.Doubt] apart, lack it, and its
//     CustomResourceDefinition is not known to be there.
//
// A version is left for another one when it is served no longer, or when no complete answer has preferred it for five
// minutes: which one is preferred depends on who answers while the servers behind a load balancer are upgraded.
//
// A group that fails, in any version, keeps what was known of it: neither is a type of it removed, nor is it moved to a
// version that happened to answer. An empty answer, and one without the core group, is taken for a failure.
//
//	                    served
//	         ┌───────────────────────────┐
//	         ▼                           │
//	    ┌────────┐  not in an answer ┌─────────┐  evidence  ┌─────────┐
//	───▶│ Served │──────────────────▶│ Missing │───────────▶│ Removed │
//	    └────────┘                   └─────────┘            └─────────┘
//	    in Types                     in Types               told once
//
// Discovery is asked when a CustomResourceDefinition or an APIService changes, and by a timer. Of those objects only
// names and generations are read. One that comes or goes is answered within about a second; a few repetitions follow,
// because an API server serves a new type a little after its definition was created. One whose spec changes
// is answered at a pace (pace.go), and one that is written without that is not answered. Without the right to
// watch them the timer is all there is.
//
// The decisions are pure functions of answers, evidence and the time (state.go); the loop asks and waits
// (discovery.go). [Discovery.Run] blocks; [Discovery.Status] may be called from any goroutine.
package discovery
