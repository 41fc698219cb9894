// Package httpclient asks a receiver something, beside the deliveries: one request, one bounded answer.
//
// It is for questions and hints, of which none may hold up a delivery and of which a lost one does no harm. What has to
// arrive exactly goes through package delivery, which knows a fence and says what became of a request that broke off;
// this package knows neither. It follows no redirect, because a redirect would take the credential elsewhere, keeps no
// connection idle for longer than Node.js does, and never repeats the token in an error.
//
// A [Client] is safe for concurrent use. [Client.Do] blocks for the time-out at most.
package httpclient
