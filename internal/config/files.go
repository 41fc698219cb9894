package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode"
)

// maxTokenBytes is how much of a token file is read; no HTTP server takes a longer header.
const maxTokenBytes = 64 << 10

// tokenProblem says why a file cannot be used as a bearer token, empty when it can. It never repeats the contents.
func tokenProblem(name string) string {
	if problem := fileProblem(name); problem != "" {
		return problem
	}
	f, err := os.Open(name)
	if err != nil {
		return "cannot be read"
	}
	defer func() { _ = f.Close() }() // it was only read
	token, err := io.ReadAll(io.LimitReader(f, maxTokenBytes+1))
	token = bytes.TrimSpace(token)
	switch {
	case err != nil:
		return "cannot be read"
	case len(token) == 0:
		return "the file is empty"
	case len(token) > maxTokenBytes:
		return "the file is too long for a token"
	case bytes.ContainsFunc(token, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "the file holds more than a token in one line"
	}
	return ""
}

// fileProblem says why a path is no regular file, empty when it is one. Reading a device or a pipe may not end.
func fileProblem(name string) string {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file does not exist"
	case err != nil:
		return "the file cannot be read"
	case !info.Mode().IsRegular():
		return "not a file"
	}
	return ""
}

func (l *loader) checkDirectories() {
	c := &l.config
	if info, err := os.Stat(c.StateDir); c.StateDir != "" && l.fine("STATE_DIR") && err == nil && !info.IsDir() {
		l.refuse(setting("STATE_DIR"), c.StateDir, "not a directory")
	}
	const certDir = "METRICS_CERT_DIR"
	if c.MetricsCertDir == "" || !c.MetricsSecure || c.MetricsBindAddress == Off || !l.fine(certDir) {
		return
	}
	for _, file := range []string{"tls.crt", "tls.key"} {
		if problem := fileProblem(filepath.Join(c.MetricsCertDir, file)); problem != "" {
			l.refuse(setting(certDir), c.MetricsCertDir, file+": "+problem)
		}
	}
}
