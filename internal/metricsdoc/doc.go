// Package metricsdoc writes the reference of all metrics, docs/metrics.md, from the metrics themselves, and
// detects when it is stale.
//
// A [Registry] takes the place of a Prometheus registry. It takes name, help and labels from the registered
// metrics. It takes the section from their package, by the call stack. Each package makes its own metrics, so no
// package has to keep a list that can be wrong.
//
// The package is for generators and tests. Its functions are not safe for concurrent use.
package metricsdoc
