package wire

// RetryAfter is the reader of that header.
var RetryAfter = retryAfter

// CircuitOpen is the reader of the text of dot-ai's circuit breaker.
var CircuitOpen = circuitOpen
