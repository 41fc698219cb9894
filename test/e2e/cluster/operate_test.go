//go:build cluster

package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestMetricsCertificateIsRotatedWithoutARestart mounts a certificate as cert-manager does, from a Secret of type
// kubernetes.io/tls, and renews it as cert-manager does, by a new value of the same Secret.
func TestMetricsCertificateIsRotatedWithoutARestart(t *testing.T) {
	const service = name + "-controller-manager-metrics-service"
	authority, key := issue(t, nil, nil, "authority")
	first, firstKey := issue(t, authority, key, service+"."+namespace+".svc")
	second, secondKey := issue(t, authority, key, service+"."+namespace+".svc")
	clean(t)
	sh(t, "kubectl create namespace "+namespace)
	apply(t, tlsSecret(t, first, firstKey))
	install := strings.Replace(readme(t), "replicaCount=3", "replicaCount=1", 1) + quick + " --set metrics.existingCertSecret=metrics-cert"
	t.Cleanup(func() {
		if t.Failed() {
			explain(t)
		}
		clean(t)
	})
	sh(t, install)
	r := deployReceiver(t)
	waitReady(t, 1)

	stop := background(t, "kubectl port-forward svc/"+service+" 8443:8443 -n "+namespace)
	defer stop()
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	serves := func(want *x509.Certificate) string {
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{RootCAs: pool, ServerName: service + "." + namespace + ".svc"}}
		conn, err := d.DialContext(t.Context(), "tcp", "localhost:8443")
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		got := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		if !bytes.Equal(got.Raw, want.Raw) {
			return fmt.Sprintf("the certificate is number %v, want %v", got.SerialNumber, want.SerialNumber)
		}
		return ""
	}
	fleet.Eventually(t, arrive, func() string { return serves(first) })
	apply(t, tlsSecret(t, second, secondKey))
	began := time.Now()
	fleet.Eventually(t, 3*time.Minute, func() string { return serves(second) })
	t.Logf("the new certificate was served %v after the Secret had it", time.Since(began).Round(time.Second))
	// A client that checks the certificate, and that has the right, gets its metrics.
	ca := t.TempDir() + "/ca.crt"
	sh(t, "kubectl -n "+namespace+" get secret metrics-cert -o 'jsonpath={.data.ca\\.crt}' | base64 -d >"+ca)
	out := sh(t, `TOKEN=$(kubectl create token k8s-vectordb-sync-controller-manager -n `+namespace+`)
curl -sS --cacert `+ca+` --connect-to `+service+"."+namespace+`.svc:8443:localhost:8443 -H "Authorization: Bearer $TOKEN" https://`+service+"."+namespace+`.svc:8443/metrics`)
	if !strings.Contains(out, "k8s_vectordb_sync_") {
		t.Errorf("the metrics are\n%.1000s", out)
	}
	if n := restarts(t); len(n) > 0 {
		t.Errorf("the replica was restarted: %v", n)
	}
	r.waitEqual(2 * time.Minute)
}

// issue makes a certificate for a name, signed by an authority, or by itself.
func issue(t *testing.T, by *x509.Certificate, byKey *ecdsa.PrivateKey, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if by == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		by, byKey = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	certAuthority[string(raw)] = by.Raw
	return cert, key
}

// certAuthority is the authority of each certificate that was issued.
var certAuthority = map[string][]byte{}

// tlsSecret is the Secret that cert-manager makes.
func tlsSecret(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, raw []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
	}
	return fmt.Sprintf(`{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: metrics-cert, namespace: %s},
data: {tls.crt: %s, tls.key: %s, ca.crt: %s}}`, namespace, encode("CERTIFICATE", cert.Raw), encode("PRIVATE KEY", der), encode("CERTIFICATE", certAuthority[string(cert.Raw)]))
}

// TestAutoscalerIsAccepted has the API server validate the HorizontalPodAutoscaler. This cluster has no metrics of
// pods, so the autoscaler would not scale.
func TestAutoscalerIsAccepted(t *testing.T) {
	out := sh(t, "helm template "+name+" "+chart+" -n default --set autoscaling.enabled=true --set autoscaling.targetMemoryUtilizationPercentage=80 "+
		"--show-only templates/horizontalpodautoscaler.yaml | kubectl apply --dry-run=server --validate=strict -o yaml -f -")
	for _, want := range []string{"kind: HorizontalPodAutoscaler", "minReplicas: 2", "maxReplicas: 6", "kind: StatefulSet\n    name: " + name} {
		if !strings.Contains(out, want) {
			t.Errorf("the API server made of it\n%swant %q", out, want)
		}
	}
}
