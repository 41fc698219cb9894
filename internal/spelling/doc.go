// Package spelling tells how far apart two names are, for the suggestions that are made to a person who has
// mistyped one.
//
// It is one function without state. The kept library for it, agnivade/levenshtein, counts two letters that
// changed places as two edits, and a mistyped pdos would not find pods: in a word of four letters one edit is
// near, and two are not.
package spelling
