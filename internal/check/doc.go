// Package check asks HTTP endpoints whether they answer: it is what `k8s-vectordb-sync --check URL` does, and with it
// `helm test`, in an image that has no shell and no curl.
//
// [Run] blocks until every endpoint has answered well or the time is over. An endpoint answers well with any
// 2xx, and with 401 or 403: who asks for credentials is there, and this package has none. Nothing here knows
// what the endpoints are.
package check
