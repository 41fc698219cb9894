// Package repair deletes documents of objects whose deletion no member saw.
//
// Package deletions and package orphans find such objects; this package is what the two have in common:
//
//	found ──▶ Deleter ──is it there? may the receiver have it?──▶ pipeline
//	  │          ╰─ some hundred at a time, and not behind each other's back
//	  ╰─ more than the guard allows ──▶ [Held], until a person says force for some [Scope]
//
// A [Deleter] checks again, under the lock that orders changes, whether the object exists. It deletes no document
// whose object exists. Its methods block only where they take a context. [Held], [Scope] and [Object] are values.
package repair
