// Package predecessor looks for another program that sends to the same receiver. One is the Deployment of
// k8s-vectordb-sync 0.1, whose objects have the same names as this controller's. Where the controller reads
// ResourceSyncConfigs, the other is that of dot-ai-controller, which reads the same objects. Two writers race,
// and neither can see the other at the receiver.
//
// [Watcher.Run] logs the Deployments that it finds and counts them in a metric. It looks again until they are gone,
// and then ends. It asks for metadata alone: in the whole cluster if it may, else in the namespaces where it may,
// else not at all.
package predecessor
