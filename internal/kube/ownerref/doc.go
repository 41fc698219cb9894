// Package ownerref sees to it that nothing remains of a release that is removed: the Leases and ConfigMaps
// that replicas write belong to the StatefulSet of the replicas, and Kubernetes collects them when that is
// deleted.
//
// They belong to the StatefulSet and not to a pod, because they have to outlive every pod: they are what a restarted
// replica goes on from.
//
// An [Owner] knows the StatefulSet. [Leases] and [ConfigMaps] wrap a client's getters, so that those who write through
// them need not know of any of this:
//
//	create                          the reference is added, after the StatefulSet has been looked up
//	update of what has an owner     it stays as it was read: a write must not undo what a garbage collector has done
//	update of what has none         adopted, unless the StatefulSet is gone or about to be
//
// The third is for objects of earlier versions, and for a StatefulSet that was deleted with --cascade=orphan and made
// anew: its objects lose their references, and get those to the new one. The StatefulSet is looked up once a minute at
// most for this. What cannot be looked up, for lack of a permission or of an API server, is written without
// an owner, and stays: nothing else depends on it.
//
// All functions are safe for concurrent use. A write blocks for one more request where the StatefulSet is looked up.
package ownerref
