// Package house holds tests of the source tree itself: rules of the house that a linter cannot see. It has no code.
//
// What is left over from before a rule is a number or a line here (words.txt, largeFields, longComments), which may
// only go down. Each rule is tried on a text that breaks it.
package house
