package app

import metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

// ReleaseBy is tested without a whole replica around it.
var ReleaseBy = releaseBy

// MetricsOpen tells whether a server of metrics takes connections.
func MetricsOpen(s metricsserver.Server) bool { return (&servers{metrics: s}).metricsOpen() }
