// Package httpclient sets up the HTTP clients of the API server: what every request of this process has in common.
//
// Nothing here blocks, and everything is safe for concurrent use.
package httpclient

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

// Configure has watches asked for without compression, and each warning of the API server logged once in the
// life of the process. It changes config.
//
// A watch that is compressed keeps a gzip reader of 42 KiB for as long as it is open, which is forever, and there is
// one for each type. It saves no processor time (BenchmarkWatch). Lists are compressed as before.
func Configure(config *rest.Config, log logr.Logger) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return plainWatches{next} })
	config.WarningHandlerWithContext = &warnings{log: log}
}

// plainWatches asks for watches without compression. A header that is set keeps the transport from setting its own.
type plainWatches struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	if on, err := strconv.ParseBool(r.URL.Query().Get("watch")); err == nil && on && r.Header.Get("Accept-Encoding") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "identity")
	}
	return p.next.RoundTrip(r)
}

// WrappedRoundTripper is what client-go asks to find out what is beneath.
func (p plainWatches) WrappedRoundTripper() http.RoundTripper { return p.next }

// warnings logs each warning once. API servers repeat them with every request, and there are a few dozen at
// most; a server that makes up new ones is not listened to for ever.
type warnings struct {
	log logr.Logger

	mu   sync.Mutex // guards told
	told map[string]bool
}

// maxWarnings bounds what is remembered.
const maxWarnings = 200

// HandleWarningHeaderWithContext implements [rest.WarningHandlerWithContext].
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	const generic = 299 // what API servers use; anything else is of the transport
	if code != generic || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[text] || len(w.told) >= maxWarnings {
		return
	}
	if w.told == nil {
		w.told = make(map[string]bool)
	}
	w.told[text] = true
	w.log.Info("The API server warns", "warning", text)
}
