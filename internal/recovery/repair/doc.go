// Package repair has documents deleted whose deletion nobody saw.
//
// Package deletions and package orphans find such objects; this package is what the two have in common:
//
//	found ──▶ Deleter ──is it there? may the receiver have it?──▶ pipeline
//	  │          ╰─ some hundred at a time, and not behind each other's back
//	  ╰─ more than the guard allows ──▶ [Held], until a person says force for some [Scope]
//
// A [Deleter] asks again, under the lock that orders changes, whether the object is there. It deletes nothing that is.
// Its methods block only where they take a context. [Held], [Scope] and [Object] are values.
package repair
