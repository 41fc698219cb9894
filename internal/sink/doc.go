// Package sink is the floor of how a change is sent. It has no code of its own; its rooms, in the order of the data:
//
//	changes ──▶ pipeline: one item for each dirty object ──▶ delivery ──▶ receiver
//	               │                   │                        ▲
//	               debounce            batch                    wire: bodies and answers
//	               is it quiet?        how much fits?
//
// Nothing here knows Kubernetes, nor who the other members are: whether an object may be sent is asked of the caller.
package sink
