package delivery

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

const (
	// dialTimeout bounds the dialling of a connection, and separately its TLS handshake. Inside a cluster both take
	// milliseconds; a Service without endpoints may drop packets instead of refusing them.
	dialTimeout = 5 * time.Second
	// idleTimeout is one second less than Node.js keeps an idle connection. The client must be the one that closes
	// first; otherwise a request meets a closing connection and its outcome is unknown.
	idleTimeout = 4 * time.Second
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 64 << 10
)

// newTransport makes connections that ask the fence before each write. It speaks HTTP/1.1 only: see [attempt.trace].
func newTransport(settings *tls.Config, maxConns int, ask func() error) *http.Transport {
	dialer := net.Dialer{Timeout: dialTimeout}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: outbound.Proxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			inner, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: inner, ask: ask}, nil
		},
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxConnsPerHost:        maxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}
}
