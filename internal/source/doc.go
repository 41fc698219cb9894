// Package source is the floor of what the cluster holds. It has no code of its own. Its packages, in the order
// of the data:
//
//	API server ──▶ discovery ──▶ typeset ──▶ watch ──▶ index ──changes──▶ (sink)
//	               which types   applied in  events    digest, version,
//	                             order       and lists sum of each object
//	                                                      ▲
//	                             lists and peers ──▶ verify: what a watch has lost is listed again
//
// No package here knows who sends a change (package shard), nor where it goes (package sink).
package source
