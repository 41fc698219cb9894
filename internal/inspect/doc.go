// Package inspect shows a person what a replica holds of one object, one type or one checkpoint, and profiles of
// the process. DEBUG_ENDPOINTS switches it on.
//
//	/debug/objects?id=ID                    index, owner, place in each pipeline, tries, last outcome
//	/debug/types[?type=T][&target=T]        watch, index and search for missed deletions of types
//	/debug/checkpoints[?name=N][&target=T]  what each member says is in step; entries of one with its name
//	/debug/pprof/                           profiles, as net/http/pprof has them
//
// Answers hold names, versions, hashes and times, and no label or annotation of an object. They are for people:
// fields may change with any version.
//
// The package decides nothing about callers: the server of its [Handlers] authorizes each request. The handlers
// are safe for concurrent use, and block for as long as the [Source] does; a profile takes the requested seconds,
// five minutes at most.
package inspect
