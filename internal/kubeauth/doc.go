// Package kubeauth lets the API server decide which callers may ask this process a question. A TokenReview names
// the holder of a bearer token, and a SubjectAccessReview tells whether that user may use the method on the path.
// kube-rbac-proxy does the same, and so do the metrics of every cluster.
//
// The library for this brings the whole of the API server's machinery with it (CEL, gRPC, tracing: 600 packages and
// 15 MiB resident in every replica). A hundred lines are the better price. The package does not understand client
// certificates; ServiceAccounts have tokens.
//
// The package remembers verdicts for [Remember], and refusals for a shorter time. It never stores a token, only its
// hash, and never logs one.
package kubeauth
