// Package metricsdoc writes the reference of all metrics, docs/metrics.md, from the metrics themselves, and tells when
// it is stale.
//
// A [Registry] is registered with instead of a Prometheus registry. It takes name, help and labels from what is
// registered, and the section from who registers it, by the call stack: each package makes its own metrics, so nobody
// has to keep a list that can be wrong.
//
// The package is for generators and tests. Nothing here is safe for concurrent use.
package metricsdoc
