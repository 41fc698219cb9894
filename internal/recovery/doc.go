// Package recovery is the floor of what was missed: by a member that died, by a watch that ended, by a fleet that
// was away. It has no code of its own. Its packages, each above those that it uses:
//
//	progress               what the members tell each other: writes our checkpoint, takes what the others name
//	deletions, orphans     what was deleted unseen, by a chain of evidence; by the receiver's own list
//	repair                 deletes what was found, in bounded steps; what waits for a person
//	previous               what the previous process knew, and writes down for the next
//	inventory, guard       the file with every name; what is missing, and how much of it may be inferred at once
//	tombstones             deletions that somebody saw, by name, among all members
//	checkpoint             how far a receiver is known to be in step with each type
//
// The packages from checkpoint to inventory and guard work on names and versions. They know neither what the
// cluster holds nor how a change is sent. Each finder declares the interfaces through which deletions become
// changes of a pipeline. The caller says who is a member and what is served, and sends everything again.
package recovery
