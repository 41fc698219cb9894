// Package health answers the probes of the kubelet. The process is alive as long as it answers, and ready once it
// has read the cluster and opened the port of the metrics. Readiness does not depend on any receiver.
package health
