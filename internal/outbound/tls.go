package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files name the files with the settings of a connection. An empty name stands for no file.
type Files struct {
	// CA holds certificates, as PEM, of the authorities that may have issued the server's, beside the system's own.
	CA string
	// Cert and Key are the client's certificate and its key, as PEM; either both or none.
	Cert, Key string
	// Headers holds further headers, one a line, as Name: value.
	Headers string
}

// errNoCertificate says that a bundle cannot be used.
var errNoCertificate = errors.New("holds no certificate, want PEM blocks of type CERTIFICATE")

// Check says what is wrong with the present contents of the files.
func (f Files) Check() error {
	var errs []error
	if f.CA != "" {
		_, err := f.roots(nil)
		errs = append(errs, err)
	}
	if f.Cert != "" && f.Key != "" {
		_, err := f.certificate()
		errs = append(errs, err)
	}
	_, err := f.Header()
	return errors.Join(append(errs, err)...)
}

// TLS returns the configuration of connections to a host. Bundle is PEM of further authorities; it may be empty.
func (f Files) TLS(host string, bundle []byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := f.roots(bundle)
	switch {
	case f.CA != "":
		// The present contents of the file count. [tls.Config] has no hook for that except one that replaces the whole
		// verification.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error { return f.verify(host, bundle, s.PeerCertificates) }
	case err != nil:
		return nil, err
	default:
		c.RootCAs = roots
	}
	if f.Cert != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.certificate() }
	}
	return c, nil
}

// verify does the verification of crypto/tls, with the present authorities.
func (f Files) verify(host string, bundle []byte, chain []*x509.Certificate) error {
	roots, err := f.roots(bundle)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// roots are the system's authorities with those of the bundle and of the file. Without either it is nil, which
// means the system's.
func (f Files) roots(bundle []byte) (*x509.CertPool, error) {
	if len(bundle) == 0 && f.CA == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without certificates
	}
	if len(bundle) > 0 && !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("CA bundle %w", errNoCertificate)
	}
	if f.CA == "" {
		return roots, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("file %s %w", f.CA, errNoCertificate)
	}
	return roots, nil
}

func (f Files) certificate() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate %s with its key: %w", f.Cert, err)
	}
	return &c, nil
}
