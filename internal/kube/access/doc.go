// Package access finds out what this process may read, before the process reads. A refused request would be one
// more line in the audit log of people who watch over permissions. The process would repeat it all its life.
//
// [Reviews] asks the API server about one right, and [Permission] holds back the requests of a watch until the
// right is there. If the configuration names namespaces, [Scopes] decides whether a type is read as a whole or
// as a slice in each of these namespaces:
//
//	             list and watch everywhere are allowed
//	undecided ──────────────────────────────────────────▶ whole
//	    │                                                               for the life of the process
//	    ╰───────────────────────────────────────────────▶ by namespace
//
// A decision stands for the life of the process, because the state of a whole type does not carry over to its
// slices. Rights that are granted or revoked later change only which watches fail.
//
// All types and functions are safe for concurrent use. Functions that take a context block until the API server
// answers.
package access
