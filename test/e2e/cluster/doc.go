// Package cluster tells the stories of users on a real cluster: pods on nodes, installed by Helm, with Services,
// name resolution, probes, RBAC and a kubelet that kills. Package e2e tells similar stories with processes; this
// one uses what users have.
//
// Each story ends with the same question: does the receiver, a pod like the others, equal the cluster, by ID and
// content? And each checks what a user sees: kubectl get, helm status, events, the plugin. Where pods are in
// reach, a Prometheus scrapes the replicas by the chart's ServiceMonitor while they are scaled, rolled and lose a
// node. None of the chart's alerts may fire then, except the one for a replica that has died.
//
// The stories carry the build tag cluster; make test-cluster brings a cluster up, or takes the one that is
// there, builds the images and runs them. They cannot run side by side: all of them install the release of
// the README.
package cluster
