// Package resync sends again what receivers should have already: everything on a schedule, and any part of it on
// request.
//
// An operation reads its types one after another from the API server, page by page, and offers each object to every
// target, behind all live changes. The next page is not asked for before the slowest receiver has taken most of the
// last one, so an operation of any size holds a page or two; a list that expires meanwhile is begun again and goes on
// where it was. Only states that the index knows at that moment are offered: what the watch has overtaken it delivers
// itself, and an object that is gone is not brought back.
//
// The same paging gives hollow objects their bodies back: those that a pipeline gave up for lack of memory.
//
// [Engine.Run] blocks and owns all goroutines; an operation outlives the request that started it. All methods are safe
// for concurrent use.
package resync
