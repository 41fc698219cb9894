package checkpoint

// RingLabel and TargetLabel are the labels of a checkpoint's ConfigMap that name its ring and its target.
const (
	RingLabel   = ringLabel
	TargetLabel = targetLabel
)
