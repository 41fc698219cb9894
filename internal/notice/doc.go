// Package notice tells operators, by Kubernetes Events on the controller's own workload, what a colleague would
// mention: the receiver is down, the receiver is back, a repair waits for a person, the cluster has gone back in
// time, a watch has lost something. `kubectl describe statefulset` and `kubectl get events` show them.
// ResourceSyncConfigs have Events of their own, which package controller writes.
//
// The input is a [Situation], once a second: the present state, as this member and the others know it. [Watcher]
// compares it with the previous one and returns the news; it is pure. [Teller] writes the news through client-go's
// recorder, which counts repetitions up in one Event and limits the Events of one object in a burst. The package
// never blocks any other. If an API server refuses Events, the Teller tries again, and no other part of the replica
// suffers.
//
// Every member watches, so that each knows the earlier news; one of them speaks. The member that the ring names for
// it reports news of the fleet (the receiver, its held repairs, a restore). A member whose index differed from the
// cluster reports that itself.
package notice
