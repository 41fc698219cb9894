// Package buildinfo publishes a metric with a replica's version, and with the formats by which it understands
// other replicas. Replicas of two ring formats form no ring together, and a replica ignores a checkpoint of
// another format.
package buildinfo
