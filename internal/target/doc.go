// Package target is the floor of one receiver. It has no code of its own yet; its rooms are projection, what the
// receiver is to have of the objects that all share; backfill, which brings it what there is when it is added at run
// time; and retired, what it leaves to its successor.
package target
