// Package monitoring runs a real Prometheus over replicas, as the chart configures the Prometheus Operator: the
// chart's ServiceMonitor says what to scrape, its alerts when to fire.
package monitoring
