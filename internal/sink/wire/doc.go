// Package wire holds the contracts of the receivers: how to write a body for each of them, and what each of their
// answers means. It does not send; package delivery does.
//
// A [Format] is one receiver's contract. It encodes upserts ([Item]) or deletes ([resource.ID]) as JSON. One body
// never holds both, because the receivers apply the two arrays of one body in opposite order. The same items give
// the same bytes on every replica: fields in a fixed order, the keys of labels and annotations sorted, arrays
// never null. [Format.Classify] turns an answer ([Response]) into an [Outcome], whose [Kind] decides what happens
// to the items:
//
//	answer                                        Kind            what was sent
//	2xx and its counts equal what was sent        Delivered       is acknowledged
//	408, 425, 429, 5xx other than 500 and 504     Retry           waits for the receiver
//	500                                           ServerError     waits; one body refused again and again is bisected
//	dot-ai's SYNC_PARTIAL_FAILURE                 Partial         is acknowledged but for Failed
//	400 that names items                          Refused         goes again without Bad, which is set aside
//	400 that names none                           Unprocessable   is bisected
//	413                                           TooLarge        is halved, and so is the limit on bytes
//	401, 403, 407                                 Unauthorized    waits for another credential
//	404, 405, 3xx, an answer no receiver gives    WrongEndpoint   waits for a person
//	504, or none at all                           Unknown         goes again, and once more as the last word
//	nothing was asked: this process held it back  Fenced          is as if never tried
//
// Answers are untrusted. The package reads a body up to [MaxResponseBytes], no answer can make Classify fail, and
// every index of an Outcome lies within the request.
//
// The package is pure: no clock, no goroutine, no network, no global state. Everything in it is safe for concurrent
// use.
package wire
