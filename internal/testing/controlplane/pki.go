package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is the lifetime of every certificate: longer than any test, and too short to be of use to a finder.
const lifetime = 48 * time.Hour

// authority signs every certificate of one control plane: of the server, of clients and of the front proxy.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// pem is cert, encoded.
	pem []byte
}

// keyPair is a PEM-encoded certificate with its key.
type keyPair struct{ cert, key []byte }

func newAuthority() (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "k8s-vectordb-sync test CA"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	pair, key, err := issue(template, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	block, _ := pem.Decode(pair.cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority's certificate: %w", err)
	}
	return &authority{cert: cert, key: key, pem: pair.cert}, nil
}

// server returns a certificate for the API server on loopback.
func (a *authority) server() (keyPair, error) {
	pair, _, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)},
	}, a.cert, a.key)
	return pair, err
}

// client returns a certificate that the API server takes for this user, a member of these groups.
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	pair, _, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	return pair, err
}

// issue makes a key and a certificate for it, signed by parent or, without one, by itself.
func issue(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (keyPair, *ecdsa.PrivateKey, error) {
	// P-256 takes microseconds where RSA takes up to a second, and every client accepts it.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("generating a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(lifetime)
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("signing the certificate of %s: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return keyPair{}, nil, fmt.Errorf("encoding the key of %s: %w", template.Subject.CommonName, err)
	}
	return keyPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, key, nil
}

// writePKI fills dir with the files that the API server reads.
func writePKI(dir string, ca *authority) error {
	server, err := ca.server()
	if err != nil {
		return err
	}
	proxy, err := ca.client("front-proxy")
	if err != nil {
		return err
	}
	// Any key signs service account tokens; the key of a throw-away certificate saves code.
	tokens, err := ca.client("service-accounts")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of certificates: %w", err)
	}
	for name, content := range map[string][]byte{
		"ca.crt":          ca.pem,
		"apiserver.crt":   server.cert,
		"apiserver.key":   server.key,
		"front-proxy.crt": proxy.cert,
		"front-proxy.key": proxy.key,
		"sa.key":          tokens.key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
