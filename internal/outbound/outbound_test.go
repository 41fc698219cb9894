package outbound_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

// issued is a certificate that signs itself, for 127.0.0.1.
type issued struct {
	cert, key []byte
	pair      tls.Certificate
}

func issue(t *testing.T, name string) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	i := issued{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	if i.pair, err = tls.X509KeyPair(i.cert, i.key); err != nil {
		t.Fatal(err)
	}
	return i
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// get makes a request over a connection of its own.
func get(t *testing.T, f outbound.Files, host, url string) error {
	t.Helper()
	c, err := f.TLS(host, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// TestOutbound_CertificateIsRotated_NextConnectionUsesIt has a server that asks for a certificate. It exchanges the
// certificates of the server and of the client.
func TestOutbound_CertificateIsRotated_NextConnectionUsesIt(t *testing.T) {
	dir := t.TempDir()
	server, client := issue(t, "server"), issue(t, "client")
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(client.cert)
	var seen string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.TLS.PeerCertificates[0].Subject.CommonName }))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server.pair, nil }}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	s.TLS.Certificates = nil

	other := issue(t, "other")
	f := outbound.Files{
		CA: write(t, filepath.Join(dir, "ca.crt"), other.cert), Cert: write(t, filepath.Join(dir, "tls.crt"), client.cert), Key: write(t, filepath.Join(dir, "tls.key"), client.key),
	}
	var untrusted *tls.CertificateVerificationError
	if err := get(t, f, "127.0.0.1", s.URL); !errors.As(err, &untrusted) {
		t.Fatalf("an authority that has not issued it: %v, want that it is not trusted", err)
	}
	write(t, f.CA, append(other.cert, server.cert...))
	if err := get(t, f, "127.0.0.1", s.URL); err != nil || seen != "client" {
		t.Fatalf("after the bundle was rotated: %v, the server has seen %q", err, seen)
	}
	if err := get(t, f, "receiver.example.com", s.URL); !errors.As(err, &untrusted) {
		t.Errorf("a certificate of another name: %v, want that it is not trusted", err)
	}
	second := issue(t, "second")
	trusted.AppendCertsFromPEM(second.cert)
	write(t, f.Cert, second.cert)
	write(t, f.Key, second.key)
	if err := get(t, f, "127.0.0.1", s.URL); err != nil || seen != "second" {
		t.Errorf("after the certificate was rotated: %v, the server has seen %q", err, seen)
	}
	if err := os.Remove(f.CA); err != nil {
		t.Fatal(err)
	}
	if err := get(t, f, "127.0.0.1", s.URL); err == nil {
		t.Error("without the bundle the server is trusted")
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junk := write(t, filepath.Join(dir, "junk"), []byte("hush-hush"))
	for name, f := range map[string]outbound.Files{
		"no bundle": {CA: dir + "/none"}, "no certificate": {CA: junk}, "no pair": {Cert: junk, Key: junk}, "no headers": {Headers: junk},
		"no file of headers": {Headers: dir + "/none"},
	} {
		if err := f.Check(); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want an error that does not repeat what is in it", name, err)
		}
	}
	if err := (outbound.Files{}).Check(); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "headers")
	header := func(text string) (http.Header, error) {
		return outbound.Files{Headers: write(t, file, []byte(text))}.Header()
	}
	h, err := header("# of the gateway\r\nX-Tenant: shop\r\n\nx-api-key:a:b \nX-Tenant: second\n")
	if err != nil || h.Get("X-Api-Key") != "a:b" || len(h["X-Tenant"]) != 2 {
		t.Errorf("%v, %v", h, err)
	}
	for text, want := range map[string]string{
		"X-A: b\nhush\n": "line 2 is no header", "a b: hush": "line 1 is no header", "content-TYPE: hush": "line 1 sets Content-Type", "Host: hush": "line 1 sets Host",
		strings.Repeat("X-A: hush\n", 1000): "longer than",
	} {
		if _, err := header(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func TestInside_HostOfTheCluster_NeedsNoProxy(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	for host, want := range map[string]bool{
		"10.96.0.1": true, "10.96.0.2": false, "127.0.0.1": true, "::1": true, "localhost": true, "cluster-whisperer": true,
		"dot-ai.dot-ai.svc": true, "dot-ai.dot-ai.svc.cluster.local": true, "Dot-AI.dot-ai.SVC.": true, "dot-ai.dot-ai.svc.example.internal": true,
		"x.cluster.local": true, "api.voyageai.com": false, "svc.example.com": false, "": false, "192.168.1.1": false,
	} {
		if got := outbound.Inside(host); got != want {
			t.Errorf("%s is inside: %v, want %v", host, got, want)
		}
	}
}
