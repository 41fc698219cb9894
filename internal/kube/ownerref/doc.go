// Package ownerref makes the StatefulSet of the replicas own the Leases and ConfigMaps that they write. So
// Kubernetes collects these objects when the StatefulSet is deleted, and nothing remains of a removed release.
//
// The owner is not a pod, because the objects have to outlive every pod: a restarted replica continues from
// them.
//
// An [Owner] knows the StatefulSet. [Leases] and [ConfigMaps] wrap a client's getters, so that callers need not
// know about owners:
//
//	create                          the reference is added, after the StatefulSet has been looked up
//	update of what has an owner     it stays as it was read: a write must not undo what a garbage collector has done
//	update of what has none         adopted, unless the StatefulSet is gone or about to be
//
// The third case is for objects of earlier versions, and for a StatefulSet that was deleted with
// --cascade=orphan and created again. Its objects lose their references, and get references to the new
// StatefulSet. For adoptions, the Owner looks up the StatefulSet once a minute at most. If the lookup fails, for
// lack of a permission or of an API server, the object is written without an owner, and stays. Nothing else
// depends on the owner.
//
// All functions are safe for concurrent use. A write that looks up the StatefulSet blocks for one more request.
package ownerref
