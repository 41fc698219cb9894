package delivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// Request is one body: exactly one of Upserts and Deletes is non-empty.
type Request struct {
	// Upserts are the items to write.
	Upserts []wire.Item
	// Deletes are the IDs to remove.
	Deletes []resource.ID
}

// Options configure a [Client]. The zero value is a client without fence, credential, metrics or logs.
type Options struct {
	// Target is the label of this client's metrics and logs. Empty means the name of the format. Two clients of one
	// registerer need two targets.
	Target string
	// Version is the version of this program, sent in User-Agent. Empty means dev.
	Version string
	// Member is this replica's name, sent in X-Vectordb-Sync-Member. Empty means that the header is not sent.
	Member string
	// Token yields the bearer token, and is asked for each request. Nil means that no Authorization header is sent.
	Token TokenSource
	// CA is a bundle of certificates in PEM that may have signed the receiver's, besides the system's own. Empty
	// means the system's own alone.
	CA []byte
	// Files hold the other settings of connections, and additional headers; the zero value has none.
	Files outbound.Files
	// Timeout bounds one request, from encoding to the last byte of the answer. Zero means the format's default.
	Timeout time.Duration
	// MaxConns bounds the connections to the receiver. A request that waits for one is not sent yet. Zero means 16.
	MaxConns int
	// BeforeWrite is the fence: an error means that nothing may be written. The client asks it before a request
	// begins and before every write to its connection, from several goroutines. So it must be fast and safe for
	// concurrent use. Nil means no fence.
	BeforeWrite func() error
	// Transport replaces the client's own connections, for tests with a receiver inside the process. The client then
	// asks BeforeWrite before RoundTrip alone. An error of RoundTrip is [wire.Unknown] unless it is a *net.OpError
	// of operation "dial". Nil means real connections.
	Transport http.RoundTripper
	// Tracer begins a span for each request, which carries its traceparent. Nil begins none.
	Tracer *tracing.Tracer
	// Registerer takes the metrics. Nil means none.
	Registerer prometheus.Registerer
	// Log gets one line per request at V(1), and no line at Info. The zero Logger discards.
	Log logr.Logger
}

// Client sends bodies to one receiver. It is safe for concurrent use.
type Client struct {
	endpoint    string
	format      wire.Format
	header      http.Header
	token       TokenSource
	timeout     time.Duration
	beforeWrite func() error
	transport   http.RoundTripper
	files       outbound.Files
	own         *http.Transport // nil when Options.Transport replaced it
	metrics     *metrics
	tracer      *tracing.Tracer
	log         logr.Logger
}

// New makes a client that posts to endpoint, a complete http or https URL. It connects to nothing yet.
func New(endpoint string, format wire.Format, opts Options) (*Client, error) {
	target := cmp.Or(opts.Target, format.Name())
	c := &Client{
		endpoint: endpoint,
		format:   format,
		header: http.Header{
			// With another spelling, cluster-whisperer takes the body for empty and answers 200.
			"Content-Type": {"application/json"},
			"User-Agent":   {"k8s-vectordb-sync/" + cmp.Or(opts.Version, "dev")},
		},
		token:       opts.Token,
		timeout:     cmp.Or(opts.Timeout, format.Defaults().Timeout),
		beforeWrite: opts.BeforeWrite,
		transport:   opts.Transport,
		files:       opts.Files,
		tracer:      opts.Tracer,
		log:         opts.Log.WithValues("target", target),
	}
	if c.beforeWrite == nil {
		c.beforeWrite = func() error { return nil }
	}
	if opts.Member != "" {
		c.header.Set("X-Vectordb-Sync-Member", opts.Member)
	}
	var errs []error
	if err := checkEndpoint(endpoint); err != nil {
		errs = append(errs, err)
	}
	if c.timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout is %v, want more than 0", c.timeout))
	}
	if c.transport == nil {
		settings, err := opts.Files.TLS(hostOf(endpoint), opts.CA)
		if err != nil {
			errs = append(errs, err)
		}
		own := newTransport(settings, cmp.Or(opts.MaxConns, 16), c.beforeWrite)
		c.own, c.transport = own, own
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer, target)
	if err != nil {
		return nil, err
	}
	c.metrics = m
	return c, nil
}

// hostOf returns the host of an endpoint, and "" for text that is no endpoint.
func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		// The message leaves out the parser's own text, which repeats the URL and may hold a password.
		return errors.New("endpoint is no URL, want one such as http://cluster-whisperer:3000/api/v1/instances/sync")
	case u.User != nil:
		return errors.New("endpoint holds a user name, want the credential in a token file and the URL without one")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("endpoint is %q, want a complete http or https URL such as http://cluster-whisperer:3000/api/v1/instances/sync", u.Redacted())
	}
	return nil
}

// Send makes one attempt to deliver r, bounded by the timeout and by ctx, and returns the outcome. It blocks
// until then, never panics and never sends a body twice. A ctx that ends before the first byte was written gives
// [wire.Fenced], later [wire.Unknown]; both with Own set. An item that cannot be encoded gives [wire.Refused],
// also with Own set, and nothing is sent.
func (c *Client) Send(ctx context.Context, r Request) wire.Outcome {
	start, kind := time.Now(), "upserts"
	if len(r.Deletes) > 0 {
		kind = "deletes"
	}
	ctx, span := c.tracer.Attempt(ctx, c.metrics.target, kind, len(r.Upserts)+len(r.Deletes))
	body, o, ok := c.encode(r)
	if ok {
		o = c.post(ctx, span, body, wire.Sent{Upserts: r.Upserts, Deletes: r.Deletes, Bytes: len(body)})
	}
	end(span, len(body), o)
	return c.finish(start, len(r.Upserts), len(r.Deletes), len(body), o)
}

// Probe asks whether the receiver takes requests, with a body that changes nothing. For a probe, both receivers
// ask their database, and neither asks its embedder. It blocks like Send.
func (c *Client) Probe(ctx context.Context) wire.Outcome {
	start, body := time.Now(), []byte("{}")
	ctx, span := c.tracer.Attempt(ctx, c.metrics.target, "probe", 0)
	o := c.post(ctx, span, body, wire.Sent{Bytes: len(body)})
	end(span, len(body), o)
	return c.finish(start, 0, 0, len(body), o)
}

// end ends the span of a request with its outcome, whose reason holds no secret.
func end(span tracing.Span, size int, o wire.Outcome) {
	span.Sent(size, o.Status)
	trouble := o.Reason
	if o.Kind == wire.Delivered {
		trouble = ""
	}
	span.End(o.Kind.String(), trouble)
}

// Observe writes the breaker's state into the target's metrics.
func (c *Client) Observe(s State) { c.metrics.breaker(s) }

// Close ends idle connections and removes the target's series from the metrics. Requests in flight are not ended:
// cancel them and wait for them first. A closed client must not be used again.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	c.metrics.remove()
}

// encode builds the body, or says in an outcome why there is none.
func (c *Client) encode(r Request) (body []byte, o wire.Outcome, ok bool) {
	var err error
	switch {
	case len(r.Upserts) > 0 && len(r.Deletes) > 0:
		err = errors.New("upserts and deletes in one request, want two")
	case len(r.Deletes) > 0:
		body, err = c.format.EncodeDeletes(r.Deletes)
	default:
		body, err = c.format.EncodeUpserts(r.Upserts)
	}
	if err == nil {
		return body, wire.Outcome{}, true
	}
	o = wire.Outcome{Kind: wire.Unprocessable, Own: true, Reason: wire.Reason("encoding: " + err.Error())}
	if fault, ok := errors.AsType[wire.ItemError](err); ok {
		o.Kind, o.Bad = wire.Refused, []wire.ItemError{fault}
	}
	return nil, o, false
}

func (c *Client) finish(start time.Time, upserts, deletes, size int, o wire.Outcome) wire.Outcome {
	o.Took, o.Bytes = time.Since(start), size
	c.metrics.sent(upserts, deletes, o)
	c.log.V(1).Info("Request ended", "outcome", o.Kind.String(), "status", o.Status, "upserts", upserts, "deletes", deletes,
		"bytes", size, "duration", o.Took, "reason", o.Reason)
	return o
}

// post sends one body. All steps that may fail or take time before the connection come before the fence is asked.
func (c *Client) post(ctx context.Context, span tracing.Span, body []byte, sent wire.Sent) wire.Outcome {
	token, err := c.bearer()
	if err != nil {
		return wire.Outcome{Kind: wire.Unauthorized, Reason: wire.Reason(err.Error())}
	}
	further, err := c.files.Header()
	if err != nil {
		return wire.Outcome{Kind: wire.Unauthorized, Reason: wire.Reason(err.Error())}
	}
	var a attempt
	timed, cancel := context.WithTimeout(httptrace.WithClientTrace(ctx, a.trace()), c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(timed, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil { // New has parsed the endpoint, so this cannot fail.
		return wire.Outcome{Kind: wire.WrongEndpoint, Reason: wire.Reason("making the request: " + err.Error())}
	}
	req.Header = c.header.Clone()
	maps.Copy(req.Header, further)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	span.Inject(ctx, req.Header)
	if err := ctx.Err(); err != nil {
		return wire.Outcome{Kind: wire.Fenced, Own: true, Reason: "not begun: " + err.Error()}
	}
	if err := c.beforeWrite(); err != nil {
		return wire.Outcome{Kind: wire.Fenced, Own: true, Reason: wire.Reason(fmt.Sprintf("%v: %v", errFenced, err))}
	}
	c.metrics.inFlight.WithLabelValues(c.metrics.target).Inc()
	defer c.metrics.inFlight.WithLabelValues(c.metrics.target).Dec()
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return hidden(c.failure(ctx, &a, err), token, further)
	}
	return hidden(c.judge(ctx, resp, sent), token, further)
}

func (c *Client) bearer() (string, error) {
	if c.token == nil {
		return "", nil
	}
	token, err := c.token()
	if err != nil {
		return "", err
	}
	return token, checkToken(token)
}
