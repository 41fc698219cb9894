// Package buildinfo tells, by a metric, what a replica is: its version, and the formats by which it understands other
// replicas. Replicas of two ring formats form no ring together; a checkpoint of another format is not understood.
package buildinfo
