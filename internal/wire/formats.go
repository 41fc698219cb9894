package wire

// ClusterWhisperer returns the contract of cluster-whisperer's POST /api/v1/instances/sync.
func ClusterWhisperer() Format { return nil }

// DotAI returns the contract of dot-ai's POST /api/v1/resources/sync.
func DotAI() Format { return nil }
