package delivery_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// Headers are read for each request. No reason holds their values, though the receiver repeats them.
func TestFurtherHeadersAreSentAndNotRepeated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "headers")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error":"no such key: ` + r.Header.Get("X-Api-Key") + `"}`))
	}))
	defer s.Close()
	write("X-Api-Key: first-secret\n")
	c, err := delivery.New(s.URL, wire.ClusterWhisperer(), delivery.Options{Files: outbound.Files{Headers: file}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, secret := range []string{"first-secret", "second-secret"} {
		write("X-Api-Key: " + secret + "\n")
		o := c.Probe(t.Context())
		if o.Status != http.StatusInternalServerError || strings.Contains(o.Reason, secret) || !strings.Contains(o.Reason, "no such key: [token]") {
			t.Errorf("%s: %d %s", secret, o.Status, o.Reason)
		}
	}
	write("secret without a name\n")
	if o := c.Probe(t.Context()); o.Kind != wire.Unauthorized || strings.Contains(o.Reason, "secret without") {
		t.Errorf("a file that cannot be used: %v %s", o.Kind, o.Reason)
	}
}
