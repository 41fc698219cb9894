// Package check asks HTTP endpoints whether they answer. `k8s-vectordb-sync --check URL` uses it, and so does
// `helm test`, in an image that has no shell and no curl.
//
// [Run] blocks until every endpoint has answered well or the time is over. An endpoint answers well with any 2xx,
// and with 401 or 403: a server that asks for credentials is running, and this package has none. The package does
// not know the purpose of an endpoint.
package check
