package delivery

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
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
	// Target is the label of this client's metrics. Empty means the name of the format. Two clients of one registerer
	// need two targets.
	Target string
	// Version is the version of this program, sent in User-Agent. Empty means dev.
	Version string
	// Member is this replica's name, sent in X-Vectordb-Sync-Member. Empty means that the header is not sent.
	Member string
	// Token yields the bearer token, asked for each request. Nil means that no Authorization header is sent.
	Token TokenSource
	// CA is a bundle of certificates in PEM that may have signed the receiver's, besides the system's own. Empty
	// means the system's own alone.
	CA []byte
	// Timeout bounds one request, from encoding to the last byte of the answer. Zero means the format's default.
	Timeout time.Duration
	// MaxConns bounds the connections to the receiver. A request that waits for one is not sent yet. Zero means 16.
	MaxConns int
	// BeforeWrite is the fence: an error means that nothing may be written now. It is asked before a request is begun
	// and before every write to its connection, from several goroutines, so it must be fast and safe for concurrent
	// use. Nil means no fence.
	BeforeWrite func() error
	// Transport replaces the client's own connections, for tests with a receiver inside the process. BeforeWrite is
	// then asked before RoundTrip alone, and an error of RoundTrip is [wire.Unknown] unless it is a *net.OpError of
	// operation "dial". Nil means real connections.
	Transport http.RoundTripper
	// Registerer takes the metrics. Nil means none.
	Registerer prometheus.Registerer
	// Log gets changes worth a line. The zero Logger discards.
	Log logr.Logger
}

// Client sends bodies to one receiver. It is safe for concurrent use.
type Client struct{}

// New makes a client that posts to endpoint, a complete http or https URL. It connects to nothing yet.
func New(endpoint string, format wire.Format, opts Options) (*Client, error) { return nil, nil }

// Send makes one attempt to deliver r, bounded by the timeout and by ctx, and says what became of it. It never panics
// and never sends a body twice. A ctx that ends before the first byte was written gives [wire.Fenced], later
// [wire.Unknown]; both with Own set. An item that cannot be encoded gives [wire.Refused] without anything being sent.
func (c *Client) Send(ctx context.Context, r Request) wire.Outcome { return wire.Outcome{} }

// Probe asks whether the receiver takes requests, with a body that changes nothing. Both receivers look at their
// database for it, neither at its embedder.
func (c *Client) Probe(ctx context.Context) wire.Outcome { return wire.Outcome{} }

// Observe writes the gate's state into the target's metrics.
func (c *Client) Observe(s State) {}

// Close ends idle connections and removes the target's series from the metrics. Requests in flight are not ended:
// cancel them first. A closed client must not be used again.
func (c *Client) Close() {}
