package httpclient_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound/httpclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client that asks a handler.
func newClient(t *testing.T, h http.HandlerFunc, opts httpclient.Options) (*httpclient.Client, *url.URL) {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return clientOf(t, web, opts)
}

func clientOf(t *testing.T, web *httptest.Server, opts httpclient.Options) (*httpclient.Client, *url.URL) {
	t.Helper()
	c, err := httpclient.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	u, err := url.Parse(web.URL + "/path?a=b")
	if err != nil {
		t.Fatal(err)
	}
	return c, u
}

func TestDoSendsAndReads(t *testing.T) {
	t.Parallel()
	tokens := []string{"first", "second", ""}
	opts := httpclient.Options{Version: "1.2", Token: func() (string, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}}
	c, u := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %q %q %q %s", r.Method, r.URL, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.UserAgent(), body)
	}, opts)
	var got []string
	for _, body := range [][]byte{[]byte("{}"), nil, nil} {
		a, err := c.Do(t.Context(), "POST", u, body)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(a.Status, " ", a.Header.Get("Retry-After"), " ", string(a.Body)))
	}
	want := []string{
		`418 7 POST /path?a=b "application/json" "Bearer first" "k8s-vectordb-sync/1.2" {}`,
		`418 7 POST /path?a=b "" "Bearer second" "k8s-vectordb-sync/1.2" `,
		`418 7 POST /path?a=b "" "" "k8s-vectordb-sync/1.2" `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestClient_AnswerIsTooLong_IsRefused(t *testing.T) {
	t.Parallel()
	size := 100
	c, u := newClient(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) }, httpclient.Options{MaxBytes: 100})
	if a, err := c.Do(t.Context(), "GET", u, nil); err != nil || len(a.Body) != 100 {
		t.Errorf("an answer of 100 bytes: %d, %v", len(a.Body), err)
	}
	size = 101
	if a, err := c.Do(t.Context(), "GET", u, nil); !errors.Is(err, httpclient.ErrTooLong) || a.Body != nil {
		t.Errorf("an answer of 101 bytes: %d, %v, want that it is too long", len(a.Body), err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	c, u := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/path" {
			t.Errorf("asked for %s", r.URL)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}, httpclient.Options{})
	if a, err := c.Do(t.Context(), "GET", u, nil); err != nil || a.Status != http.StatusTemporaryRedirect {
		t.Errorf("answer is %d, %v, want the redirect", a.Status, err)
	}
}

func TestAnAnswerThatBreaksOffIsNone(t *testing.T) {
	t.Parallel()
	c, u := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, httpclient.Options{})
	if a, err := c.Do(t.Context(), "GET", u, nil); err == nil {
		t.Errorf("answer is %q, want an error", a.Body)
	}
}

func TestDoEndsWithItsTimeAndItsContext(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	c, u := newClient(t, hang, httpclient.Options{Timeout: time.Millisecond})
	if _, err := c.Do(t.Context(), "GET", u, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("time-out: %v", err)
	}
	c, u = newClient(t, hang, httpclient.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(ctx, "GET", u, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestATokenThatCannotBeHadOrSentSendsNothing(t *testing.T) {
	t.Parallel()
	missing := errors.New("no such file")
	for name, source := range map[string]func() (string, error){
		"missing":     func() (string, error) { return "", missing },
		"two lines":   func() (string, error) { return "secret\nline", nil },
		"a blank":     func() (string, error) { return "secret line", nil },
		"an umlaut":   func() (string, error) { return "secretü", nil },
		"zero byte":   func() (string, error) { return "secret\x00", nil },
		"DEL at last": func() (string, error) { return "secret\x7f", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, u := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, httpclient.Options{Token: source})
			_, err := c.Do(t.Context(), "GET", u, nil)
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error is %v, want one without the token", err)
			}
			if name == "missing" && !errors.Is(err, missing) {
				t.Errorf("error is %v, want the source's", err)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(web.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	c, u := clientOf(t, web, httpclient.Options{CA: bundle})
	if a, err := c.Do(t.Context(), "GET", u, nil); err != nil || a.Status != 200 {
		t.Errorf("with its certificate: %d, %v", a.Status, err)
	}
	c, u = clientOf(t, web, httpclient.Options{})
	if _, err := c.Do(t.Context(), "GET", u, nil); err == nil {
		t.Error("without its certificate it is trusted all the same")
	}
	if _, err := httpclient.New(httpclient.Options{CA: []byte("none")}); err == nil {
		t.Error("a bundle without a certificate is taken")
	}
}
