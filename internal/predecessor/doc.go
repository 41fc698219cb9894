// Package predecessor looks for another program that sends to the same receiver: the Deployment of
// k8s-vectordb-sync 0.1, whose objects have the names that ours have, and where ResourceSyncConfigs are read,
// that of dot-ai-controller, which reads the same objects. Two writers race, and neither can see the other at
// the receiver.
//
// [Watcher.Run] names what it finds in the log and counts it in a metric, looks again until it is gone, and
// then ends. It asks for metadata alone: in the whole cluster where that is allowed, else in the namespaces
// where it is, else not at all.
package predecessor
