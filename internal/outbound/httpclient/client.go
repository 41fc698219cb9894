package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

// Options configure a [Client]. The zero value has no credential and trusts the system's certificates.
type Options struct {
	// Version is the version of this program, sent in User-Agent. Empty means dev.
	Version string
	// Token returns the bearer token, and is called for each request, so that the token may be rotated. Nil, or an
	// empty token, means that no Authorization header is sent. Its errors must not hold the token.
	Token func() (string, error)
	// CA is a bundle of certificates in PEM that may have signed the receiver's, beside the system's own.
	CA []byte
	// Host is the host of the requests, which its certificate has to name. It is needed with Files.CA alone.
	Host string
	// Files hold further certificates of connections, and headers that are sent along; the zero value has none.
	Files outbound.Files
	// Timeout bounds one request, from dialling to the last byte of the answer. Zero means 60 s.
	Timeout time.Duration
	// MaxBytes bounds the body of an answer. Zero means 64 KiB.
	MaxBytes int64
	// Transport replaces the connections, for tests without a network. Nil means real ones.
	Transport http.RoundTripper
}

// Client makes requests. Create it with [New].
type Client struct {
	http     *http.Client
	own      *http.Transport // nil when Options.Transport replaced it
	token    func() (string, error)
	files    outbound.Files
	agent    string
	maxBytes int64
}

// Answer is the answer of a server.
type Answer struct {
	// Status is the HTTP status. A redirect is not followed.
	Status int
	// Header holds the headers, at most 64 KiB.
	Header http.Header
	// Body is all of the body.
	Body []byte
}

// ErrTooLong says that an answer is longer than [Options.MaxBytes]. No part of it is handed out.
var ErrTooLong = errors.New("the answer is too long")

// New makes a client. It opens no connection.
func New(opts Options) (*Client, error) {
	c := &Client{
		http: &http.Client{
			Timeout:       cmp.Or(opts.Timeout, time.Minute),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     opts.Transport,
		},
		token:    opts.Token,
		files:    opts.Files,
		agent:    "k8s-vectordb-sync/" + cmp.Or(opts.Version, "dev"),
		maxBytes: cmp.Or(opts.MaxBytes, 64<<10),
	}
	if opts.Transport == nil {
		settings, err := opts.Files.TLS(opts.Host, opts.CA)
		if err != nil {
			return nil, err // The error names the file.
		}
		own := newTransport(settings)
		c.own, c.http.Transport = own, own
	}
	return c, nil
}

func newTransport(settings *tls.Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  outbound.Proxy,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true, // a small answer could become a large one
		MaxConnsPerHost:        2,
		IdleConnTimeout:        4 * time.Second, // a second less than Node.js keeps a connection
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              protocols,
	}
}

// Do makes one request and reads its answer. A body is sent as JSON; nil means no body. An error means that there
// is no complete answer; whether the request arrived is then unknown.
func (c *Client) Do(ctx context.Context, method string, u *url.URL, body []byte) (Answer, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return Answer{}, fmt.Errorf("making a request of %s: %w", u.Redacted(), err)
	}
	further, err := c.files.Header()
	if err != nil {
		return Answer{}, err // The error names the file.
	}
	maps.Copy(req.Header, further)
	req.Header.Set("User-Agent", c.agent)
	if body != nil {
		// For any other spelling, cluster-whisperer takes the body for empty.
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(req); err != nil {
		return Answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err // The error names the method and the URL.
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer of %s: %w", u.Redacted(), err)
	}
	if int64(len(text)) > c.maxBytes {
		return Answer{}, fmt.Errorf("%w: %s answered more than %d bytes", ErrTooLong, u.Redacted(), c.maxBytes)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}, nil
}

func (c *Client) authorize(req *http.Request) error {
	if c.token == nil {
		return nil
	}
	token, err := c.token()
	if err != nil {
		return fmt.Errorf("finding the bearer token: %w", err)
	}
	// The checks of net/http would allow characters that servers take for the end of the token.
	if strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return errors.New("the bearer token holds characters that cannot stand in a header")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// Close ends the idle connections.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}
