// Package kubeauth lets the API server decide who may ask this process something: a TokenReview tells who
// holds a bearer token, a SubjectAccessReview whether that user may use the method on the path. It is what
// kube-rbac-proxy does, and what stands in front of metrics in every cluster.
//
// The library that does the same brings the whole of the API server's machinery with it (CEL, gRPC, tracing: 600
// packages and 15 MiB resident in every replica), for which a hundred lines are the better price. Client certificates
// are not understood; tokens are what ServiceAccounts have.
//
// Verdicts are remembered for [Remember], refusals for a shorter time. A token is never stored, only its
// hash, and never logged.
package kubeauth
