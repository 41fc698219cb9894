// Package cluster tells the stories of users on a real cluster: pods on nodes, installed by Helm, with Services, name
// resolution, probes, RBAC and a kubelet that kills. What the stories of package e2e show with processes is here shown
// with what users have.
//
// Each story ends with the same question: does the receiver, a pod like the others, equal the cluster, by ID
// and content? And each looks at what a user looks at: kubectl get, helm status, events, the plugin. Where
// pods are in reach, a Prometheus scrapes the replicas by the chart's ServiceMonitor while they are scaled,
// rolled and lose a node, and says which of the chart's alerts fire: none of them, but the one for a replica
// that has died.
//
// The stories carry the build tag cluster; make test-cluster brings a cluster up, or takes the one that is
// there, builds the images and runs them. They cannot run side by side: all of them install the release of
// the README.
package cluster
