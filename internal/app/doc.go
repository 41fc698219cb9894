// Package app puts the parts together, starts them in order and stops them in reverse. It is the only package that
// knows all the others, and holds no logic of its own beyond that: what a part does stands in that part.
//
// At the end of its context [Run] stops softly, then hard: it stops watching, flushes what is due for as long as it is
// allowed to, cancels what is still under way, and says what was left.
package app
