// Package target is the floor of one receiver. It has no code of its own yet; its room is projection: what the receiver
// is to have of the objects that all share.
package target
