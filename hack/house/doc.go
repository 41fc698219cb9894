// Package house holds tests of the source tree itself: rules of the house that a linter cannot see. It has no code.
//
// Exceptions from before a rule are a number or a line here (words.txt, largeFields, longComments), which may
// only go down. Each rule is tested on a text that breaks it.
package house
