// Package health answers the probes of the kubelet: alive as long as it answers, and ready once the cluster has been
// read and the port of the metrics is open. Readiness does not depend on any receiver.
package health
