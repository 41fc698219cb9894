// Package monitoring runs a real Prometheus over replicas, as the chart configures the Prometheus Operator. The
// chart's ServiceMonitor says what to scrape, and its alerts say when to fire.
package monitoring
