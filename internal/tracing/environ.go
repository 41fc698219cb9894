package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

// defaultTimeout bounds one export.
const defaultTimeout = 10 * time.Second

// settings are the exporter's settings in the environment.
type settings struct {
	endpoint string
	headers  http.Header
	timeout  time.Duration
	ca       []byte
}

// Options are the settings that the environment does not have.
type Options struct {
	// Version is the version of this program, Member the name of this replica.
	Version, Member string
	// Log takes a line when spans cannot be exported, and another when they can again.
	Log logr.Logger
}

// FromEnviron returns the tracer of the variables that getenv reads: nil for no tracing, or all errors at once.
func FromEnviron(getenv func(string) string, opts Options) (*Tracer, error) {
	s, err := read(getenv)
	if err != nil || s == nil {
		return nil, err
	}
	exporter, err := newExporter(*s, opts)
	if err != nil {
		return nil, err
	}
	return newTracer(exporter, getenv, opts)
}

// newTracer makes a tracer whose spans go to an exporter in batches.
func newTracer(exporter sdktrace.SpanExporter, getenv func(string) string, opts Options) (*Tracer, error) {
	who, err := resource.New(context.Background(), resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.version", opts.Version), attribute.String("service.instance.id", opts.Member)))
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if _, named := who.Set().Value("service.name"); !named {
		named, err := resource.Merge(who, resource.NewSchemaless(attribute.String("service.name", cmp.Or(getenv("OTEL_SERVICE_NAME"), "k8s-vectordb-sync"))))
		if err != nil {
			return nil, fmt.Errorf("naming the service: %w", err)
		}
		who = named
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(who))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/k8s-vectordb-sync/k8s-vectordb-sync")}, nil
}

// read returns the settings, nil when tracing is off.
func read(getenv func(string) string) (*settings, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	of := func(name string) string { // a variable for traces goes before the one for all signals
		return cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), getenv("OTEL_EXPORTER_OTLP_"+name))
	}
	endpoint := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); endpoint == "" && base != "" {
		endpoint = strings.TrimRight(base, "/") + "/v1/traces"
	}
	if endpoint == "" {
		return nil, nil
	}
	s := &settings{endpoint: endpoint, headers: make(http.Header), timeout: defaultTimeout}
	var errs []error
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is no URL, want one such as http://collector.observability:4318"))
	}
	if p := of("PROTOCOL"); p != "" && p != "http/protobuf" {
		errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, want http/protobuf (port 4318 of a collector)", p))
	}
	if e := getenv("OTEL_TRACES_EXPORTER"); e != "" && e != "otlp" {
		errs = append(errs, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, want otlp or none", e))
	}
	if text := of("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			errs = append(errs, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT is %q, want milliseconds", text))
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	errs = append(errs, s.readHeaders(of("HEADERS")))
	if path := of("CERTIFICATE"); path != "" {
		ca, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err))
		}
		s.ca = ca
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// readHeaders reads a list such as key=value,other=value, in which values are escaped as in URLs. The values may be
// secrets, so errors do not repeat them.
func (s *settings) readHeaders(list string) error {
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || strings.TrimSpace(name) == "" {
			return errors.New("OTEL_EXPORTER_OTLP_HEADERS is no list such as name=value,other=value")
		}
		s.headers.Set(strings.TrimSpace(name), value)
	}
	return nil
}

// client makes the exporter's HTTP client.
func (s *settings) client() (*http.Client, error) {
	t := &http.Transport{Proxy: outbound.Proxy, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	if len(s.ca) > 0 {
		u, err := url.Parse(s.endpoint)
		if err != nil {
			return nil, fmt.Errorf("parsing the endpoint: %w", err)
		}
		t.TLSClientConfig, err = outbound.Files{}.TLS(u.Hostname(), s.ca)
		if err != nil {
			return nil, fmt.Errorf("reading OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
	}
	return &http.Client{Transport: t, Timeout: s.timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}
