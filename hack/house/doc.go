// Package house holds tests of the source tree itself: rules of the house that a linter cannot see. It has no code.
package house
