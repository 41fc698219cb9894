//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestMetricsAreForThoseWhomKubernetesAllows reads the metrics over HTTPS without a token, with a token without the
// right, and with one that has it. Then the certificate is renewed as cert-manager does.
func TestMetricsAreForThoseWhomKubernetesAllows(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Apply(`
{apiVersion: v1, kind: ServiceAccount, metadata: {name: prometheus, namespace: default}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: nobody, namespace: default}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: metrics-reader}, rules: [{nonResourceURLs: [/metrics], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: metrics-reader}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-reader}, subjects: [{kind: ServiceAccount, name: prometheus, namespace: default}]}
`)
	dir := t.TempDir()
	first := certificate(t, dir, 1, "metrics")
	p := r.Start(map[string]string{"METRICS_SECURE": "true", "METRICS_CERT_DIR": dir})
	p.WaitReady(time.Minute)

	for account, want := range map[string]int{"": http.StatusUnauthorized, "nobody": http.StatusForbidden, "prometheus": http.StatusOK} {
		token := "no-token-at-all"
		if account != "" {
			config, err := r.ServiceAccountRESTConfig(t.Context(), "default", account)
			if err != nil {
				t.Fatal(err)
			}
			token = config.BearerToken
		}
		code, body := scrape(t, p.Metrics, first, token)
		if code != want {
			t.Errorf("account %q is answered %d, want %d: %.200s", account, code, want, body)
		}
		if told := strings.Contains(body, "k8s_vectordb_sync_objects{"); told != (want == http.StatusOK) {
			t.Errorf("account %q is told of objects: %t", account, told)
		}
	}
	if code, _ := scrape(t, p.Metrics, first, ""); code != http.StatusUnauthorized && code != http.StatusForbidden {
		t.Errorf("without a token the answer is %d, want 401 or 403", code)
	}

	second := certificate(t, dir, 2, "metrics")
	fleet.Eventually(t, converge, func() string {
		conn, err := tls.Dial("tcp", p.Metrics, &tls.Config{RootCAs: second, ServerName: "metrics"})
		if err != nil {
			return fmt.Sprintf("the new certificate is not served: %v", err)
		}
		_ = conn.Close()
		return ""
	})
}

// certificate writes tls.crt and tls.key of a server of that name, each replacing the old file at once. It returns a
// pool that trusts them.
func certificate(t *testing.T, dir string, serial int64, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "metrics"}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: der},
		"tls.key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

// scrape reads the metrics with a bearer token, or with none.
func scrape(t *testing.T, address string, trust *x509.CertPool, token string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

// TestStartOfAReplica checks on what a start depends, and on what it does not.
func TestStartOfAReplica(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})

	t.Run("is refused with every mistake of the configuration named", func(t *testing.T) {
		p := r.In(t).Start(map[string]string{"DEBOUNCE_WINDOW_MS": "ten", "BATCH_MAX_SIZE": "-1", "REST_ENDPOINT": "nowhere", "LOG_LEVEL": "loud"})
		if code := p.Wait(10 * time.Second); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		for _, mistake := range []string{"DEBOUNCE_WINDOW_MS=ten:", "BATCH_MAX_SIZE=-1:", "REST_ENDPOINT=nowhere:", "LOG_LEVEL=loud:"} {
			said := ""
			for line := range strings.Lines(p.Log(100)) {
				if strings.HasPrefix(line, mistake) {
					said = line
				}
			}
			if !strings.Contains(said, "want") {
				t.Errorf("no line says what is wrong with %s and what would be right:\n%s", mistake, p.Log(20))
			}
		}
	})

	t.Run("does not wait for the receiver", func(t *testing.T) {
		r := r.In(t)
		r.StopReceiver()
		p := r.Start(nil)
		p.WaitReady(time.Minute)
		fleet.Eventually(t, converge, func() string {
			if s := p.Status().Targets[0]; s.State != "backingOff" || s.Reason == "" || s.Dirty == 0 {
				return fmt.Sprintf("the status does not tell of the receiver: %s %q, %d dirty", s.State, s.Reason, s.Dirty)
			}
			return ""
		})
		p.WaitReady(0)
		if code, body := p.Get("http://" + p.Health + "/healthz"); code != http.StatusOK {
			t.Errorf("healthz is answered %d %s", code, body)
		}
		r.StartReceiver()
		r.WaitEqual(converge)
	})
}
