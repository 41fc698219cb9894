package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter posts spans to a collector. Only the goroutine of the SDK's batches uses it.
type exporter struct {
	settings settings
	client   *http.Client
	agent    string
	log      logr.Logger

	mu   sync.Mutex // guards down
	down bool
}

func newExporter(s settings, opts Options) (*exporter, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	return &exporter{settings: s, client: client, agent: "k8s-vectordb-sync/" + opts.Version, log: opts.Log}, nil
}

// ExportSpans implements [sdktrace.SpanExporter]. Spans that cannot be sent are lost: they are not worth a retry,
// and the SDK would print each error.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.note(e.post(ctx, spans))
	return nil
}

// Shutdown implements [sdktrace.SpanExporter].
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

func (e *exporter) post(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	// TracesData has the bytes of an ExportTraceServiceRequest, whose package would bring gRPC with it.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: resourceSpans(spans)})
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.settings.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header = e.settings.headers.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", e.agent)
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting spans: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", resp.Status)
	}
	return nil
}

// note logs once that spans are lost, and once that they arrive again.
func (e *exporter) note(err error) {
	e.mu.Lock()
	changed := e.down != (err != nil)
	e.down = err != nil
	e.mu.Unlock()
	switch {
	case changed && err != nil:
		e.log.Info("Spans cannot be exported, and are lost until they can; nothing else is affected", "endpoint", e.settings.endpoint, "reason", err.Error())
	case changed:
		e.log.Info("Spans are exported again")
	}
}
