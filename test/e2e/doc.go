// Package e2e tells the stories of users: replicas of the real program as processes, a real API server, the
// reference receiver, and faults. Each story ends with the same question: does the receiver equal the cluster, by ID
// and content?
//
// The stories carry the build tag e2e; make test-e2e runs them.
package e2e
