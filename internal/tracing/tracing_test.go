package tracing_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environ returns a getenv of a map. It sets the variables that the SDK reads by itself in the process.
func environ(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

// collector is an OTLP receiver that reads with the generated code of the contract, which the exporter does not
// use.
type collector struct {
	*httptest.Server

	status atomic.Int64

	mu      sync.Mutex // guards the fields below
	spans   []*tracepb.Span
	service string
	header  http.Header
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.status.Store(http.StatusOK)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var got collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header = r.Header
		for _, rs := range got.GetResourceSpans() {
			c.service = value(rs.GetResource().GetAttributes(), "service.name")
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
		w.WriteHeader(int(c.status.Load()))
	}))
	t.Cleanup(c.Close)
	return c
}

func value(all []*commonpb.KeyValue, key string) string {
	i := slices.IndexFunc(all, func(a *commonpb.KeyValue) bool { return a.GetKey() == key })
	if i < 0 {
		return ""
	}
	return all[i].GetValue().String()
}

// TestTracer_SpansArriveAtACollector follows one attempt, a part and a verification to a collector.
func TestTracer_SpansArriveAtACollector(t *testing.T) {
	c := newCollector(t)
	tracer, err := tracing.FromEnviron(environ(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL + "/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, other=c",
	}), tracing.Options{Version: "v1", Member: "sync-0", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, attempt := tracer.Attempt(t.Context(), "default", "upserts", 50)
	h := make(http.Header)
	attempt.Inject(ctx, h)
	attempt.Sent(1234, 503)
	attempt.End("retry", "HTTP 503")
	_, part := tracer.Part(t.Context(), "default", "pods.v1")
	part.Objects(7)
	part.End("sent", "")
	_, verification := tracer.Verification(t.Context(), "pods.v1")
	verification.End("same", "")
	tracer.Close()

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 3 || !strings.Contains(c.service, "k8s-vectordb-sync") || c.header.Get("X-Key") != "a b" || c.header.Get("Other") != "c" {
		t.Fatalf("%d spans of %q with the header %v arrived", len(c.spans), c.service, c.header)
	}
	s := c.spans[0]
	if s.GetName() != "deliver" || s.GetKind() != tracepb.Span_SPAN_KIND_CLIENT || s.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("the attempt is %v", s)
	}
	for key, want := range map[string]string{
		"vectordb_sync.target": "default", "vectordb_sync.kind": "upserts", "vectordb_sync.objects": "50", "vectordb_sync.bytes": "1234",
		"vectordb_sync.outcome": "retry", "http.response.status_code": "503",
	} {
		if got := value(s.GetAttributes(), key); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %s", key, got, want)
		}
	}
	if got, want := h.Get("traceparent"), "00-"+hex(s.GetTraceId())+"-"+hex(s.GetSpanId())+"-01"; got != want {
		t.Errorf("traceparent is %q, want %q", got, want)
	}
	if c.spans[1].GetName() != "resync part" || c.spans[2].GetName() != "verify" || c.spans[2].GetStatus() != nil {
		t.Errorf("the others are %v and %v", c.spans[1], c.spans[2])
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// TestTracer_OffCostsNothing: without a tracer there is no header and no allocation.
func TestTracer_OffCostsNothing(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing is set": {}, "disabled": {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
		"none": {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
	} {
		tracer, err := tracing.FromEnviron(environ(env), tracing.Options{})
		if tracer != nil || err != nil {
			t.Fatalf("%s: %v, %v", name, tracer, err)
		}
	}
	var off *tracing.Tracer
	h := make(http.Header)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		c, s := off.Attempt(ctx, "default", "upserts", 50)
		s.Inject(c, h)
		s.Sent(1, 200)
		s.Objects(1)
		s.End("delivered", "")
		_, p := off.Part(ctx, "default", "pods.v1")
		p.End("sent", "")
		_, v := off.Verification(ctx, "pods.v1")
		v.End("same", "")
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if len(h) != 0 {
		t.Errorf("the header is %v", h)
	}
	off.Close()
}

// TestTracer_ACollectorThatIsDownIsSaidOnce: no work waits for the collector, and not every span prints a line.
func TestTracer_ACollectorThatIsDownIsSaidOnce(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	c := newCollector(t)
	c.status.Store(http.StatusServiceUnavailable)
	lines := make(chan string, 100)
	tracer, err := tracing.FromEnviron(environ(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}),
		tracing.Options{Log: funcr.New(func(_, args string) { lines <- args }, funcr.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	send := func(until func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !until(); {
			if time.Now().After(end) {
				t.Fatal("it does not come")
			}
			_, s := tracer.Part(t.Context(), "default", "pods.v1")
			s.End("sent", "")
			<-time.After(time.Millisecond)
		}
	}
	exports := func(n int) func() bool {
		return func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.spans) >= n }
	}
	send(func() bool { return len(lines) == 1 })
	send(exports(20))
	c.status.Store(http.StatusOK)
	send(func() bool { return len(lines) >= 2 })
	tracer.Close()
	if len(lines) != 2 {
		t.Errorf("%d lines were logged, want one for down and one for back", len(lines))
	}
	if down, back := <-lines, <-lines; !strings.Contains(down, "503") || !strings.Contains(back, "again") {
		t.Errorf("logged: %q and %q", down, back)
	}
}

// TestFromEnviron_SaysAllThatIsWrong: all mistakes are refused at once, and no secret is repeated.
func TestFromEnviron_SaysAllThatIsWrong(t *testing.T) {
	_, err := tracing.FromEnviron(environ(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s",
		"OTEL_EXPORTER_OTLP_HEADERS": "s3cret", "OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist",
	}), tracing.Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"_ENDPOINT", "_PROTOCOL", "_TIMEOUT", "_HEADERS", "OTEL_TRACES_EXPORTER", "_CERTIFICATE"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Error("the error repeats a header")
	}
}
