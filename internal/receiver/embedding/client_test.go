package embedding_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/embedding"
)

// ask has a server give one answer, and asks it about two texts.
func ask(t *testing.T, status int, answer string) ([][]float32, error) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer web.Close()
	c, err := embedding.New(embedding.Options{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Embed(t.Context(), []string{"a", "b"})
}

func TestEmbed_NumberedInAnyOrder_ReturnsInOrderOfTexts(t *testing.T) {
	got, err := ask(t, 200, `{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got[0][0] != 0.6 || got[0][1] != 0.8 || got[1][1] != 1 {
		t.Errorf("%v, want [[.6 .8] [0 1]]", got)
	}
	if got, err = ask(t, 200, `{"data":[{"embedding":[1]},{"embedding":[2]}]}`); err != nil || len(got) != 2 {
		t.Errorf("without numbers: %v %v", got, err)
	}
}

func TestEmbed_AnswerThatIsNone_IsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON": `<html>`, "too few": `{"data":[{"index":0,"embedding":[1]}]}`, "none": `{"data":[]}`, "empty": ``,
		"twice":          `{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`,
		"out of range":   `{"data":[{"index":0,"embedding":[1]},{"index":7,"embedding":[1]}]}`,
		"two dimensions": `{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}`,
		"no numbers":     `{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}`,
		"nowhere":        `{"data":[{"index":0,"embedding":[0]},{"index":1,"embedding":[1]}]}`,
		"base64":         `{"data":[{"index":0,"embedding":"AAAA"},{"index":1,"embedding":"AAAA"}]}`,
	} {
		if got, err := ask(t, 200, answer); err == nil {
			t.Errorf("%s: %v, want an error", name, got)
		}
	}
}

func TestEmbed_Status_TellsRefusalFromTrouble(t *testing.T) {
	for status, refused := range map[int]bool{400: true, 413: true, 422: true, 401: false, 404: false, 429: false, 500: false, 302: false, 204: false} {
		_, err := ask(t, status, "input\n is   too long")
		var r *embedding.RefusedError
		if errors.As(err, &r) != refused || err == nil {
			t.Errorf("%d: %v, refused: %v", status, err, !refused)
		}
		if refused && !strings.Contains(err.Error(), "input is too long") {
			t.Errorf("%d: %v does not say why", status, err)
		}
	}
}

func TestEmbed_KeyFile_IsReadForEveryRequestAndNotTold(t *testing.T) {
	var seen []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "key")
	for _, key := range []string{"first\n", "second"} {
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := embedding.New(embedding.Options{URL: web.URL + "/v1", KeyFile: file})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Embed(t.Context(), []string{"a"}); err == nil || strings.Contains(err.Error(), strings.TrimSpace(key)) {
			t.Errorf("%v, want an error without the key", err)
		}
		c.Close()
	}
	if strings.Join(seen, ",") != "Bearer first,Bearer second" {
		t.Errorf("%q", seen)
	}
}

func TestEmbed_ClientLeaves_EndsAtOnce(t *testing.T) {
	stop := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer web.Close()
	defer close(stop)
	c, err := embedding.New(embedding.Options{URL: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Embed(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context ended", err)
	}
}

func TestNew_URL_IsCompleted(t *testing.T) {
	for in, want := range map[string]string{
		"http://ollama:11434":              "http://ollama:11434/v1/embeddings",
		"http://ollama:11434/":             "http://ollama:11434/v1/embeddings",
		"https://api.openai.com/v1":        "https://api.openai.com/v1/embeddings",
		"http://tei/v1/embeddings":         "http://tei/v1/embeddings",
		"http://gateway/team/v1?version=1": "http://gateway/team/v1/embeddings?version=1",
	} {
		c, err := embedding.New(embedding.Options{URL: in})
		if err != nil || c.URL() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"", "ollama:11434", "ftp://x", "http://", "http://user:s3cret@x"} {
		if _, err := embedding.New(embedding.Options{URL: in}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want an error that tells no secret", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`)
	f.Add(`{"data":[{"index":-1,"embedding":[1e39]},null]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		got, err := embedding.Parse([]byte(answer), 2)
		if err != nil {
			return
		}
		for _, v := range got {
			sum := 0.0
			for _, x := range v {
				sum += float64(x) * float64(x)
			}
			if len(v) != len(got[0]) || math.Abs(sum-1) > 1e-3 {
				t.Errorf("%v of length %v", v, sum)
			}
		}
	})
}
