// Package httpclient has the common settings of all requests of this process to the API server.
//
// No function blocks, and all are safe for concurrent use.
package httpclient

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

// Configure makes watches ask for no compression, and logs each warning of the API server once in the life of
// the process. It changes config.
//
// A compressed watch keeps a gzip reader of 42 KiB while it is open, which is almost always, and each type has a
// watch. Compression saves no processor time (BenchmarkWatch). Lists stay compressed.
func Configure(config *rest.Config, log logr.Logger) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return plainWatches{next} })
	config.WarningHandlerWithContext = &warnings{log: log}
}

// plainWatches asks for watches without compression. Because it sets the header, the transport does not set its
// own.
type plainWatches struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	if on, err := strconv.ParseBool(r.URL.Query().Get("watch")); err == nil && on && r.Header.Get("Accept-Encoding") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "identity")
	}
	return p.next.RoundTrip(r)
}

// WrappedRoundTripper returns the wrapped RoundTripper to client-go.
func (p plainWatches) WrappedRoundTripper() http.RoundTripper { return p.next }

// warnings logs each warning once. API servers repeat warnings with every request. They have a few dozen at
// most; of a server with ever new warnings, the log gets only the first maxWarnings.
type warnings struct {
	log logr.Logger

	mu   sync.Mutex // guards told
	told map[string]bool
}

// maxWarnings bounds the warnings that are remembered.
const maxWarnings = 200

// HandleWarningHeaderWithContext implements [rest.WarningHandlerWithContext].
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	const generic = 299 // the code of API servers; all others are from proxies
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
