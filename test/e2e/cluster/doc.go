// Package cluster tells the stories of users on a real cluster: pods on nodes, installed by Helm, with Services,
// name resolution, probes, RBAC and a kubelet that kills. Package e2e tells similar stories with processes; this one
// has everything that users have.
//
// Each story ends with the same question: does the receiver, a pod like the others, equal the cluster, by ID and
// content? And each checks the views of a user: kubectl get, helm status, events, the plugin. Where pods are in
// reach, a Prometheus scrapes the replicas by the chart's ServiceMonitor while they are scaled, rolled and lose a
// node. None of the chart's alerts may fire then, except the one for a replica that has died.
//
// The stories carry the build tag cluster. make test-cluster starts a cluster, or takes a running one, builds the
// images and runs the stories. They cannot run side by side: all of them install the release of the README.
package cluster
