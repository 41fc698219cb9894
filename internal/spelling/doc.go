// Package spelling measures how far apart two names are, to suggest the right one to a person who has mistyped
// it.
//
// It is one function without state. The maintained library for it, agnivade/levenshtein, counts two swapped
// letters as two edits, so a mistyped pdos would not find pods: in a word of four letters one edit is near, and
// two are not.
package spelling
