// Package sink is the floor of how a change is sent. It has no code of its own; its packages, in the order of the
// data:
//
//	changes ──▶ pipeline: one item for each dirty object ──▶ delivery ──▶ receiver
//	               │                   │                        ▲
//	               debounce            batch                    wire: bodies and answers
//	               is it quiet?        how much fits?
//
// No package here knows Kubernetes, or the other members: the pipeline asks its caller whether it may send an
// object.
package sink
