// Package access finds out what this process may read, before it asks for it: a request that is
// refused would be one more line in the audit log of those who watch over permissions, and tried
// again for as long as the process lives.
//
// [Reviews] asks the API server about one right, and [Permission] holds the requests of a watch back
// until it is there. [Scopes] decides, where namespaces are named, whether a type is read as a
// whole or as a slice in each of these namespaces:
//
//	             list and watch everywhere are allowed
//	undecided ──────────────────────────────────────────▶ whole
//	    │                                                               for the life of the process
//	    ╰───────────────────────────────────────────────▶ by namespace
//
// A decision stands as long as the process lives: what is known of a type as a whole is not what is
// known of its slices. Rights that are given or taken later change the watches that fail, and
// nothing else.
//
// Everything is safe for concurrent use. Whatever takes a context blocks for as long as the API server takes to answer.
package access
