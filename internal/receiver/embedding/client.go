package embedding

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// defaultTimeout bounds a request with many texts; an embedder without a GPU needs seconds for 32 of them.
	defaultTimeout = 30 * time.Second
	// maxDimension is above the dimension of any embedder. A larger answer is read up to its bound and refused.
	maxDimension = 16384
	// numberBytes is the most that one number takes in an answer, with its comma and a line of its own.
	numberBytes = 32
	// maxMessage bounds the part of a failed answer that an error repeats.
	maxMessage = 300
)

// Options configure a [Client].
type Options struct {
	// URL is the address of the embedder. A path that ends in /embeddings stays as it is, to one that ends in /v1
	// /embeddings is added, and to an empty one /v1/embeddings.
	URL string
	// Model is sent along. If it is empty, requests name no model; servers of a single model accept that.
	Model string
	// KeyFile holds a bearer token. It is read for every request, so that a renewed token is used.
	KeyFile string
	// Timeout bounds a request; 0 is 30 s.
	Timeout time.Duration
	// Transport replaces the connections, for tests.
	Transport http.RoundTripper
}

// Client asks one embedder. Make it with [New].
type Client struct {
	url     string
	model   string
	keyFile string
	timeout time.Duration
	http    *http.Client
}

// RefusedError is an answer that blames the request: a text is too long, or the embedder cannot read it.
type RefusedError struct {
	// Status is the HTTP status: 400, 413 or 422.
	Status int
	// Message is the message of the embedder, cut.
	Message string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("embedder refuses with HTTP %d: %s", e.Status, e.Message))
}

// New checks the options. It sends no request.
func New(opts Options) (*Client, error) {
	endpoint, err := endpointOf(opts.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{url: endpoint, model: opts.Model, keyFile: opts.KeyFile, timeout: opts.Timeout}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.keyFile != "" {
		if _, err := c.key(); err != nil {
			return nil, err
		}
	}
	transport := opts.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 4 * time.Second,
			ForceAttemptHTTP2: true,
		}
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirect would carry texts, and maybe the key, to an address that the user has not named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func endpointOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return "", fmt.Errorf("embedder URL %q is none, want one such as http://ollama:11434 without credentials", redacted(address))
	}
	switch path := strings.TrimSuffix(u.Path, "/"); {
	case strings.HasSuffix(path, "/embeddings"):
		u.Path = path
	case path == "":
		u.Path = "/v1/embeddings"
	default:
		u.Path = path + "/embeddings"
	}
	return u.String(), nil
}

// redacted is a URL as it may be shown: without the part before an at sign.
func redacted(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return "…" + address[i:]
	}
	return address
}

// URL is the address to which texts are sent.
func (c *Client) URL() string { return c.url }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) key() (string, error) {
	b, err := os.ReadFile(c.keyFile)
	if err != nil {
		return "", fmt.Errorf("reading the embedder's key: %w", err)
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", fmt.Errorf("reading the embedder's key: %s is empty", c.keyFile)
	}
	return key, nil
}

type request struct {
	Model string   `json:"model,omitempty"`
	Input []string `json:"input"`
	// Format keeps servers from answering in base64.
	Format string `json:"encoding_format"`
}

type response struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding []float32 `json:"embedding"`
	} `json:"data"`
}

// Embed returns a vector of length 1 for each text, in their order.
func (c *Client) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := json.Marshal(request{Model: c.model, Input: texts, Format: "float"})
	if err != nil {
		return nil, fmt.Errorf("encoding texts: %w", err)
	}
	answer, err := c.post(ctx, body, len(texts))
	if err != nil {
		return nil, err
	}
	return parse(answer, len(texts))
}

func (c *Client) post(ctx context.Context, body []byte, texts int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.keyFile != "" {
		key, err := c.key()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the embedder: %w", short(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage)) // as much as can be read
		return nil, failure(resp.StatusCode, text)
	}
	limit := int64(texts)*maxDimension*numberBytes + 1<<16
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("reading the embedder's answer: %w", short(err))
	}
	return answer, nil
}

// short leaves out the URL of an error, which the caller names.
func short(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func failure(status int, text []byte) error {
	message := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "")), " ")
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &RefusedError{Status: status, Message: message}
	default:
		return errors.New(strings.TrimSpace(fmt.Sprintf("embedder answers HTTP %d: %s", status, message)))
	}
}

// parse reads an answer to n texts. Vectors without a number are in the order of the texts.
func parse(answer []byte, n int) ([][]float32, error) {
	var r response
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, fmt.Errorf("decoding the embedder's answer: %w", err)
	}
	if len(r.Data) != n {
		return nil, fmt.Errorf("embedder answers with %d vectors to %d texts", len(r.Data), n)
	}
	out := make([][]float32, n)
	for i, d := range r.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= n || out[at] != nil {
			return nil, fmt.Errorf("embedder answers with vector number %d twice or out of %d", at, n)
		}
		if len(d.Embedding) == 0 || len(d.Embedding) > maxDimension || len(d.Embedding) != len(r.Data[0].Embedding) {
			return nil, fmt.Errorf("embedder answers with vectors of %d and %d numbers", len(r.Data[0].Embedding), len(d.Embedding))
		}
		if !normalize(d.Embedding) {
			return nil, errors.New("embedder answers with a vector without a direction")
		}
		out[at] = d.Embedding
	}
	return out, nil
}

// normalize gives a vector the length 1, unless it has no direction.
func normalize(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum)
	if length == 0 || math.IsNaN(length) || math.IsInf(length, 0) {
		return false
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / length)
	}
	return true
}
