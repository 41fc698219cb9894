// Package monitoring runs a real Prometheus over replicas, the way the chart tells the Prometheus Operator to: what to
// scrape comes from the chart's ServiceMonitor, when to worry from its alerts.
package monitoring
