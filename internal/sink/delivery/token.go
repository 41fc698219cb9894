package delivery

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// TokenSource yields the bearer token for one request. The client calls it for each request, so that it has the
// newest token, from several goroutines at once. An empty token means that no Authorization header is sent. An
// error ends the request before it begins, as [wire.Unauthorized]; the error must not hold the token, because it
// is logged.
type TokenSource func() (string, error)

// maxTokenBytes bounds a token, in bytes. Servers bound all headers together at 8 to 16 KiB.
const maxTokenBytes = 8 << 10

// TokenFile reads the token from a file, as Kubernetes mounts it from a Secret, for each request. So the next
// request uses a rotated token, and after a 401 there is no cache to clear. Reading costs some 20 µs where a
// request costs 20 ms. Space around the token is cut off.
func TokenFile(path string) TokenSource {
	return func() (string, error) {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading the bearer token: %w", err)
		}
		token := strings.TrimSpace(string(raw))
		if token == "" {
			return "", fmt.Errorf("reading the bearer token: file %s is empty", path)
		}
		return token, nil
	}
}

// errToken says that a token cannot stand in a header.
var errToken = errors.New("the bearer token is too long or holds characters that cannot stand in a header")

func checkToken(token string) error {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f }
	if len(token) > maxTokenBytes || strings.IndexFunc(token, odd) >= 0 {
		return errToken
	}
	return nil
}
