// Package recovery is the floor of what was missed: by a member that died, by a watch that ended, by a fleet that was
// away. It has no code of its own; its rooms, from the bottom up:
//
//	checkpoint  how far a receiver is known to be in step with each type: entries, a codec, and the ConfigMaps
//	deletions   names of deleted objects, open and delivered, among all members
//	inventory   a file with every name, for the time when no member ran
//	orphans     what the receiver itself lists, for what nothing else remembers
//	guard       how many deletions may be inferred at once
//
// What these know becomes deletions in package app, type by type, by evidence alone.
package recovery
