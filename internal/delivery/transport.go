package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	// dialTimeout bounds a connection's making, and once more its TLS handshake. Inside a cluster both take
	// milliseconds; a Service without endpoints may drop packets instead of refusing them.
	dialTimeout = 5 * time.Second
	// idleTimeout is one second less than Node.js keeps an idle connection: whoever closes first must be us, or a
	// request meets a closing connection and its outcome is unknown.
	idleTimeout = 4 * time.Second
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 64 << 10
)

// newTransport makes connections that ask the fence before each write. It speaks HTTP/1.1 only: see [attempt.trace].
func newTransport(ca []byte, maxConns int, ask func() error) (*http.Transport, error) {
	roots, err := rootsWith(ca)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			inner, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: inner, ask: ask}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxConnsPerHost:        maxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}, nil
}

// rootsWith adds a bundle to the system's certificates, nil (which means the system's) without a bundle.
func rootsWith(ca []byte) (*x509.CertPool, error) {
	if len(ca) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without certificates of its own
	}
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("CA bundle holds no certificate, want PEM blocks of type CERTIFICATE")
	}
	return roots, nil
}
