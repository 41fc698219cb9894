// Package access finds out what this process may read, before the process asks for it. A refused request would be
// one more line in the audit log of those who watch over permissions, and repeated for as long as the process
// lives.
//
// [Reviews] asks the API server about one right, and [Permission] holds back the requests of a watch until the
// right is there. Where namespaces are named, [Scopes] decides whether a type is read as a whole or as a slice in
// each of these namespaces:
//
//	             list and watch everywhere are allowed
//	undecided ──────────────────────────────────────────▶ whole
//	    │                                                               for the life of the process
//	    ╰───────────────────────────────────────────────▶ by namespace
//
// A decision stands for the life of the process, because the state of a whole type does not carry over to its
// slices. Rights that are given or taken later change only which watches fail.
//
// Everything is safe for concurrent use. Functions that take a context block for as long as the API server takes
// to answer.
package access
