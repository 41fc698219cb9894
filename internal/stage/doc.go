// Package stage stops parts of a program together: when [Stage.Stop] returns, all of them have ended. A program
// whose parts end in an order has several stages, and stops one after the other:
//
//	New ──Start──▶ parts run ──Stop──▶ their context has ended ──the last returns──▶ Stop returns
//	                 │ one fails
//	                 ╰──▶ fail is told which, and why
//
// Stop blocks until the last part has returned. The rest does not block.
package stage
