// Package outbound says how other programs are reached: what certificates are trusted, what certificate is shown, what
// headers are sent along, and whether a proxy is asked.
//
// Everything that comes from a file is read again when it is needed, as Kubernetes mounts it from a Secret: a
// certificate with each handshake, headers with each request. What was rotated is used by the next
// connection, and nothing has to be restarted. Nothing of their contents is logged or kept in an error.
//
// The package starts no goroutine and connects to nothing. All of it is safe for concurrent use.
package outbound
