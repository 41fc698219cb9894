// Package source is the floor of what the cluster holds. It has no code of its own. Its packages, in the order
// of the data:
//
//	API server ──▶ discovery ──▶ typeset ──▶ watch ──▶ index ──changes──▶ (sink)
//	               which types   applied in  events    digest, version,
//	                             order       and lists sum of each object
//	                                                      ▲
//	                             lists and peers ──▶ verify: lists a type again after lost events
//
// No package here knows which member sends a change (package shard), nor where the change goes (package sink).
package source
