// Package kubeauth lets the API server decide who may ask this process something: a TokenReview says who holds a
// bearer token, a SubjectAccessReview whether that user may use the method on the path. kube-rbac-proxy does the
// same, and so do the metrics of every cluster.
//
// The library that does the same brings the whole of the API server's machinery with it (CEL, gRPC, tracing: 600
// packages and 15 MiB resident in every replica). A hundred lines are the better price. The package does not
// understand client certificates; ServiceAccounts have tokens.
//
// The package remembers verdicts for [Remember], refusals for a shorter time. It never stores a token, only its
// hash, and never logs one.
package kubeauth
