package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxHeaderBytes bounds the file of headers. Servers bound all headers together at 8 to 16 KiB.
const maxHeaderBytes = 8 << 10

// ours are the headers that describe the body, which a file must not change.
var ours = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

// Header reads the further headers; it is nil without a file. An error names the line, and does not repeat its
// contents.
func (f Files) Header() (http.Header, error) {
	if f.Headers == "" {
		return nil, nil // There is no file.
	}
	raw, err := os.ReadFile(f.Headers)
	if err != nil {
		return nil, fmt.Errorf("reading the headers: %w", err)
	}
	h, err := parseHeaders(string(raw))
	if err != nil {
		return nil, fmt.Errorf("reading the headers of %s: %w", f.Headers, err)
	}
	return h, nil
}

// parseHeaders takes one header a line. It skips empty lines, and lines that begin with #.
func parseHeaders(text string) (http.Header, error) {
	if len(text) > maxHeaderBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", maxHeaderBytes)
	}
	h, n := http.Header{}, 0
	var errs []error
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			errs = append(errs, fmt.Errorf("line %d is no header, want Name: value", n))
		case slices.Contains(ours, name):
			errs = append(errs, fmt.Errorf("line %d sets %s, which says what is sent and is set already", n, name))
		default:
			h.Add(name, value)
		}
	}
	return h, errors.Join(errs...)
}
