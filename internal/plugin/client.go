package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// maxAnswer is far above the answer of a replica with thousands of types and a hundred quarantined objects.
const maxAnswer = 32 << 20

// replica is one process of the controller. Its methods are safe for concurrent use.
type replica struct {
	// name is the pod's, or host:port of a URL.
	name string
	// trouble is why the replica cannot be asked at all, such as a pod that does not run; nil when it can.
	trouble error

	base   string // URL without a path and without a slash at its end
	token  string // for API_AUTH; empty for none
	client *http.Client

	open   func(context.Context) (*tunnel, error) // nil when no tunnel is needed
	mu     sync.Mutex                             // guards tunnel
	tunnel *tunnel
}

// newDirect returns a replica at a URL.
func newDirect(address string, token string) (*replica, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL, want one such as http://127.0.0.1:8082", address)
	}
	return &replica{
		name: u.Host, base: strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"), token: token,
		client: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}, // always an *http.Transport
	}, nil
}

// newForwarded returns a replica that is reached through a tunnel; the first request opens the tunnel. A pod in
// trouble is not asked.
func newForwarded(pod, token string, open func(context.Context) (*tunnel, error)) *replica {
	r := &replica{name: pod, base: "http://" + pod, token: token, open: open}
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.dial, MaxIdleConnsPerHost: 4}}
	return r
}

func (r *replica) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tunnel == nil {
		t, err := r.open(ctx)
		if err != nil {
			return nil, err
		}
		r.tunnel = t
	}
	conn, err := r.tunnel.dial()
	if err != nil { // the tunnel is broken, and the next request opens another one
		_ = r.tunnel.Close()
		r.tunnel = nil
	}
	return conn, err
}

// close ends the connections to the replica.
func (r *replica) close() {
	if r.client != nil {
		r.client.CloseIdleConnections()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tunnel != nil {
		_ = r.tunnel.Close()
		r.tunnel = nil
	}
}

// answerError is an answer of a replica that is no success.
type answerError struct {
	// Code is the HTTP status.
	Code int
	// Message is the message of the replica.
	Message string
}

// Error implements error.
func (e *answerError) Error() string {
	switch e.Code {
	case http.StatusUnauthorized:
		return e.Message + ": the API of this release asks for authorization (API_AUTH); name a file with a token by --api-token-file"
	case http.StatusForbidden:
		return e.Message + ": whose token this is may not do it; see docs/kubectl.md for the rights"
	}
	return e.Message
}

// get reads a path of the API.
func get[T any](ctx context.Context, r *replica, path string) (T, error) {
	return ask[T](ctx, r, http.MethodGet, path)
}

// ask makes a request and decodes its answer. Its error is an [*answerError], or says why there is no answer.
func ask[T any](ctx context.Context, r *replica, method, path string) (T, error) {
	var v T
	if r.trouble != nil {
		return v, r.trouble
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, http.NoBody)
	if err != nil {
		return v, fmt.Errorf("making a request: %w", err)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return v, reason(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return v, reason(ctx, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return v, refusal(resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("this is no API of k8s-vectordb-sync: decoding its answer: %w", err)
	}
	return v, nil
}

// refusal makes an error of an answer.
func refusal(code int, body []byte) error {
	var e api.Error
	if err := json.Unmarshal(body, &e); err != nil || e.Message == "" {
		text := string(bytes.TrimSpace(body[:min(len(body), 200)]))
		return &answerError{Code: code, Message: strings.TrimSpace(fmt.Sprintf("HTTP %d %s", code, text))}
	}
	return &answerError{Code: code, Message: e.Message}
}

// reason shortens the error of a failed exchange. Its caller names the replica anyway, and the URL of a tunnel is
// of no interest.
func reason(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errNoAnswer
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

var errNoAnswer = errors.New("it did not answer in time; --request-timeout gives it more")
