// Package outbound says how to reach other programs: which certificates to trust, which certificate to present,
// which headers to add, and whether to ask a proxy.
//
// The package reads files again when it needs them, as Kubernetes mounts them from a Secret: a certificate at
// each handshake, headers at each request. So the next connection uses a rotated file, without a restart. The
// package neither logs the contents nor keeps them in an error.
//
// The package starts no goroutine and opens no connection. Everything in it is safe for concurrent use.
package outbound
