package app_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestDefaults_OfTheConfiguration_SuitEachReceiver compares the defaults of the configuration with the
// figures that suit each receiver. The number of upserts may be lower: it is the promise of BATCH_MAX_SIZE.
func TestDefaults_OfTheConfiguration_SuitEachReceiver(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range wire.Formats() {
		t.Run(format.Name(), func(t *testing.T) {
			env := []string{"ENDPOINT_FORMAT=" + format.Name(), "REST_ENDPOINT=http://receiver/sync", "AUTH_TOKEN_FILE=" + token}
			cfg, err := config.FromEnviron(env)
			if err != nil {
				t.Fatal(err)
			}
			d := format.Defaults()
			for what, pair := range map[string][2]time.Duration{
				"REQUEST_TIMEOUT_MS": {cfg.RequestTimeout, d.Timeout}, "SETTLE_TIME_MS": {cfg.SettleTime, d.Settle},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s is %v, the receiver's is %v", what, pair[0], pair[1])
				}
			}
			for what, pair := range map[string][2]int{
				"MAX_IN_FLIGHT": {cfg.MaxInFlight, d.MaxInFlight}, "BATCH_MAX_BYTES": {cfg.BatchMaxBytes, d.MaxBytes},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s is %d, the receiver's is %d", what, pair[0], pair[1])
				}
			}
			if cfg.BatchMaxSize > d.MaxUpserts {
				t.Errorf("BATCH_MAX_SIZE is %d, more than the receiver's %d", cfg.BatchMaxSize, d.MaxUpserts)
			}
		})
	}
}
