// Package handoff gives partitions, and parts of resyncs, from one sender to the next. Package membership says
// when, and which; this package makes the receivers' pipelines do it:
//
//	gives up  ──▶ Drain: requests end ──▶ last checkpoint ──▶ (the claim is withdrawn)
//	                       │ 10 s                                      │ seen by the new owner
//	                       ╰──▶ are cut off: in doubt                  ▼
//	takes up  (Gains) ──▶ catch up: checkpoints are read, watches have seen what the former owner had ──▶ take up
//	                                                                                                        │
//	                                    may send ◀── once more, for what came in between ◀── Admit ◀────────╯
//
// [Shard.Run] drives the second line, and blocks for 15 s at most. Each Drain has goroutines that end with its
// requests and its checkpoint. Receivers are an interface, because the choice of the sender depends neither on
// the objects nor on their destination.
package handoff
