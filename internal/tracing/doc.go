// Package tracing records slow work as spans: each attempt to deliver, each part of a resync, each list for a
// verification. It is off, and costs nothing, unless OTEL_EXPORTER_OTLP_ENDPOINT (or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set. Then every request to a receiver carries a traceparent, and the
// receiver's own spans become children of the controller's.
//
// The environment is OpenTelemetry's: the SDK reads OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_TRACES_SAMPLER and OTEL_BSP_*, [FromEnviron] the rest. The package has its own small exporter, because the
// SDK's brings gRPC with it. That costs 13 MB of binary and 7 MB of resident memory (measured, client-go in
// both), even with tracing off; the SDK alone costs 0.3 MB. The exporter speaks OTLP over HTTP with protobuf,
// which every collector accepts at port 4318.
//
// A nil *[Tracer] is off, and so is the zero [Span]; neither allocates. Spans wait in a bounded queue, and are
// dropped when it is full. A collector that is down or slow delays no work, and the log says so once.
package tracing
