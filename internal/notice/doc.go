// Package notice tells operators, by Kubernetes Events on the controller's own workload, what a colleague would
// mention: the receiver is down, the receiver is back, a repair waits for a person, the cluster has gone back in
// time, a watch has lost something. `kubectl describe statefulset` and `kubectl get events` show them.
// ResourceSyncConfigs have Events of their own, which package controller writes.
//
// What comes in is a [Situation], once a second: what is so, as this member and the others know it. [Watcher]
// compares it with the one before and says what is new; it is pure. [Teller] writes that, through client-go's
// recorder, which counts repetitions up in one Event and lets one object have few in a burst. Nothing here blocks
// anybody else, and an API server that refuses Events is asked again without anything else being the worse for it.
//
// Every member watches, so that each knows what was said; one speaks. What concerns the fleet (the receiver, its
// held repairs, a restore) is said by the member that the ring names for it. What only one member has met (its
// index differed from the cluster) is said by that member.
package notice
