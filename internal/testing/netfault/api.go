package netfault

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// API is a proxy in front of an API server that understands lists and watches, and lets a test change or drop single
// events and answers. Make one with [NewAPI]. A new one passes everything.
//
// It speaks HTTP/2 over TLS with a certificate of its own. To the API server it is the user of its configuration; a
// bearer token of the client takes that user's place. Answers are not compressed.
type API struct {
	server *httptest.Server
	ended  chan struct{} // closed by Close, which ends every hang

	mu       sync.Mutex // guards the fields below
	events   []*eventRule
	requests []*requestRule
	bodies   []*bodyRule
}

type (
	eventRule   struct{ decide func(Event) Verdict }
	requestRule struct{ decide func(Request) Answer }
	bodyRule    struct{ change func(Request, []byte) []byte }
)

// NewAPI listens on a free port of 127.0.0.1 in front of the API server of a configuration.
func NewAPI(config *rest.Config) (*API, error) {
	target, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the API server: %w", err)
	}
	user, err := transport(config)
	if err != nil {
		return nil, err
	}
	nobody, err := transport(rest.AnonymousClientConfig(config))
	if err != nil {
		return nil, err
	}
	a := &API{ended: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { rewrite(r, target, config.BearerToken) },
		Transport:      byToken{user: user, nobody: nobody},
		ModifyResponse: a.meddle,
		FlushInterval:  -1,
		ErrorHandler:   unreachable,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	a.server = httptest.NewUnstartedServer(a.handler(proxy))
	a.server.EnableHTTP2 = true
	a.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.server.StartTLS()
	return a, nil
}

// transport makes a transport of its own for a configuration: client-go shares transports, and Close ends
// connections.
func transport(config *rest.Config) (*http.Transport, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true, DisableCompression: true}, nil
}

// byToken sends a request that carries a token without a certificate, which would win over it.
type byToken struct{ user, nobody *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b byToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		return b.nobody.RoundTrip(r)
	}
	return b.user.RoundTrip(r)
}

// rewrite directs a request to the target, with this proxy's token if the client has none.
func rewrite(r *httputil.ProxyRequest, target *url.URL, token string) {
	r.SetURL(target)
	if token != "" && r.Out.Header.Get("Authorization") == "" {
		r.Out.Header.Set("Authorization", "Bearer "+token)
	}
	r.Out.Header.Del("Accept-Encoding") // this proxy cannot read compressed answers
}

// unreachable ends the connection, as a line to a missing server does.
func unreachable(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }

// RESTConfig returns a new configuration of a client that goes through the proxy.
func (a *API) RESTConfig() *rest.Config {
	return &rest.Config{
		Host: a.server.URL, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: a.authority()},
	}
}

func (a *API) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
}

// Kubeconfig writes a kubeconfig file of a client that goes through the proxy into dir, and returns its path.
func (a *API) Kubeconfig(dir string) (string, error) {
	const name = "netfault"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: a.server.URL, CertificateAuthorityData: a.authority()}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	path := filepath.Join(dir, "netfault-"+strings.ReplaceAll(a.server.Listener.Addr().String(), ":", "-")+".kubeconfig")
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return "", fmt.Errorf("writing a kubeconfig file: %w", err)
	}
	return path, os.Chmod(path, 0o600)
}

// OnEvent has f decide on each event of a watch before it is passed, until remove is called. Of several rules the
// first that does not return [Pass] counts. Many goroutines call it.
func (a *API) OnEvent(f func(Event) Verdict) (remove func()) {
	rule := &eventRule{f}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, rule)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.events = without(a.events, rule)
	}
}

// OnRequest has f decide on each request before it is passed, until remove is called. Of several rules the first
// that does not return [AnswerTruly] counts. Many goroutines call it.
func (a *API) OnRequest(f func(Request) Answer) (remove func()) {
	rule := &requestRule{f}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, rule)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = without(a.requests, rule)
	}
}

// OnBody has f change each answer that is no stream, discovery too, before it is passed, until remove is called. f
// returns its argument if it changes nothing. Many goroutines call it.
func (a *API) OnBody(f func(r Request, body []byte) []byte) (remove func()) {
	rule := &bodyRule{f}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bodies = append(a.bodies, rule)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.bodies = without(a.bodies, rule)
	}
}

// changed reads an answer and has the rules change it, if there are any.
func (a *API) changed(resp *http.Response, r Request) error {
	a.mu.Lock()
	rules := a.bodies
	a.mu.Unlock()
	if len(rules) == 0 {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	for _, rule := range rules {
		body = rule.change(r, body)
	}
	set(resp, body)
	return nil
}

func set(resp *http.Response, body []byte) {
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

// without returns a copy that lacks one rule: other goroutines may be reading the old slice.
func without[T comparable](all []T, one T) []T {
	rest := make([]T, 0, len(all))
	for _, x := range all {
		if x != one {
			rest = append(rest, x)
		}
	}
	return rest
}

func (a *API) verdict(e Event) Verdict {
	a.mu.Lock()
	rules := a.events
	a.mu.Unlock()
	for _, rule := range rules {
		if v := rule.decide(e); v != Pass {
			return v
		}
	}
	return Pass
}

func (a *API) answer(r Request) Answer {
	a.mu.Lock()
	rules := a.requests
	a.mu.Unlock()
	for _, rule := range rules {
		if v := rule.decide(r); v != AnswerTruly {
			return v
		}
	}
	return AnswerTruly
}

// Disconnect resets all connections of clients, streams that have been frozen among them.
func (a *API) Disconnect() { a.server.CloseClientConnections() }

// Close ends the proxy with all its connections. It may be called more than once.
func (a *API) Close() {
	select {
	case <-a.ended:
		return
	default:
		close(a.ended)
	}
	a.server.CloseClientConnections()
	a.server.Close()
	if p, ok := a.server.Config.Handler.(*frontDoor); ok {
		p.close()
	}
}

// frontDoor decides on requests before they are passed.
type frontDoor struct {
	a     *API
	proxy *httputil.ReverseProxy
}

func (a *API) handler(proxy *httputil.ReverseProxy) *frontDoor { return &frontDoor{a: a, proxy: proxy} }

func (g *frontDoor) close() {
	if t, ok := g.proxy.Transport.(byToken); ok {
		t.user.CloseIdleConnections()
		t.nobody.CloseIdleConnections()
	}
}

// asked is the key in the context for a request's [Request] and [Answer].
type asked struct{}

type decided struct {
	request Request
	answer  Answer
}

// ServeHTTP implements http.Handler.
func (g *frontDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := decided{request: parse(r)}
	d.answer = g.a.answer(d.request)
	switch d.answer {
	case AnswerNever:
		g.a.hang(r.Context())
		panic(http.ErrAbortHandler)
	case AnswerSilently:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		g.a.hang(r.Context())
		panic(http.ErrAbortHandler)
	case AnswerError:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"netfault","reason":"InternalError","code":500}`)
	default:
		g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), asked{}, d)))
	}
}

// hang blocks until the client leaves or the test ends the hang.
func (a *API) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-a.ended:
	}
}

// meddle replaces the API server's answer by the one that a test wants.
func (a *API) meddle(resp *http.Response) error {
	d, ok := resp.Request.Context().Value(asked{}).(decided)
	if !ok || resp.StatusCode != http.StatusOK {
		return nil
	}
	if !d.request.Watch {
		if err := a.changed(resp, d.request); err != nil {
			return err
		}
	}
	protobuf := strings.Contains(resp.Header.Get("Content-Type"), "protobuf")
	if d.request.Watch {
		resp.Body = a.newStream(resp, d, protobuf)
		return nil
	}
	if d.answer == AnswerTruly || !d.request.list() {
		return nil
	}
	whole, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("reading a list: %w", err)
	}
	if d.answer == AnswerBroken {
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), broken{}))
		return nil
	}
	few, err := thin(whole, protobuf, d.answer)
	if err != nil {
		return err
	}
	set(resp, few)
	return nil
}

var errBroken = errors.New("broken on purpose")

// broken is a body that ends in the middle.
type broken struct{}

// Read implements io.Reader.
func (broken) Read([]byte) (int, error) { return 0, errBroken }
