// Package app puts the parts together, starts them in order and stops them in reverse. It is the only package
// that knows all the others, and holds no logic of its own: each part has its own package.
//
// At the end of its context [Run] stops softly, then hard. It stops watching, and flushes the changes that are due
// for as long as it may. Then it cancels requests that are still in flight, and logs how many changes are left.
package app
