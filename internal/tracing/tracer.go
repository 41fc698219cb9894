package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// These are the attributes of the spans.
const (
	keyTarget  = attribute.Key("vectordb_sync.target")
	keyObjects = attribute.Key("vectordb_sync.objects")
	keyBytes   = attribute.Key("vectordb_sync.bytes")
	keyOutcome = attribute.Key("vectordb_sync.outcome")
	keyKind    = attribute.Key("vectordb_sync.kind")
	keyType    = attribute.Key("vectordb_sync.resource")
	keyStatus  = attribute.Key("http.response.status_code")
)

// Tracer begins spans. A nil Tracer begins none. Make one with [FromEnviron].
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Span is some work that takes time. The zero Span records nothing.
type Span struct{ span trace.Span }

// Attempt begins the span of one request to a receiver with objects of one kind: upserts or deletes.
func (t *Tracer) Attempt(ctx context.Context, target, kind string, objects int) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, "deliver", trace.SpanKindClient, keyTarget.String(target), keyKind.String(kind), keyObjects.Int(objects))
}

// Part begins the span of one part of a resync: a type at a target.
func (t *Tracer) Part(ctx context.Context, target, resource string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, "resync part", trace.SpanKindInternal, keyTarget.String(target), keyType.String(resource))
}

// Verification begins the span of comparing a type with a list.
func (t *Tracer) Verification(ctx context.Context, resource string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, "verify", trace.SpanKindInternal, keyType.String(resource))
}

func (t *Tracer) start(ctx context.Context, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, Span) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	return ctx, Span{span}
}

// Sent records the size of a request, and the status of the answer, 0 for none.
func (s Span) Sent(bytes, status int) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(keyBytes.Int(bytes))
	if status != 0 {
		s.span.SetAttributes(keyStatus.Int(status))
	}
}

// Objects records how many objects the span concerns.
func (s Span) Objects(n int) {
	if s.span != nil {
		s.span.SetAttributes(keyObjects.Int(n))
	}
}

// End ends the span with an outcome. A trouble that is not empty marks the span as failed; it must hold no secret.
func (s Span) End(outcome, trouble string) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(keyOutcome.String(outcome))
	if trouble != "" {
		s.span.SetStatus(codes.Error, trouble)
	}
	s.span.End()
}

// Inject writes traceparent into the header of a request that is made within the span of ctx.
func (s Span) Inject(ctx context.Context, h http.Header) {
	if s.span != nil {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	}
}

// closeTimeout bounds the export of the last spans.
const closeTimeout = 3 * time.Second

// Close exports the spans that wait, for three seconds at most.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // The exporter has logged that it could not send them.
}
