// Package tracing says in spans what takes time: each attempt to deliver, each part of a resync, each list to
// verify by. It is off, and costs nothing, unless OTEL_EXPORTER_OTLP_ENDPOINT (or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set; then every request to a receiver carries a traceparent, and the
// receiver's own spans become children of ours.
//
// The environment is OpenTelemetry's: the SDK reads OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_TRACES_SAMPLER and OTEL_BSP_*, [FromEnviron] the rest. The exporter is our own, and small: the SDK's brings
// gRPC with it, which costs 13 MB of binary and 7 MB of resident memory (measured, client-go in both) also where
// nothing is traced; the SDK alone costs 0.3 MB. It speaks OTLP over HTTP with protobuf, which every collector
// takes at port 4318.
//
// A nil *[Tracer] is one that is off; so is the zero [Span]. Neither allocates. Spans wait in a bounded queue and
// are dropped when that is full: a collector that is down or slow holds up nobody, and is said once in the log.
package tracing
