package receiver_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/picture"
)

// score differs in its last digits between processors.
var score = regexp.MustCompile(`score [0-9.]+`)

// TestThePictureOfTheSearchIsFresh: README shows the answer of the demo's company to its first question.
func TestThePictureOfTheSearchIsFresh(t *testing.T) {
	r, _ := company(t, receiver.Options{})
	asked := r.url + "/?limit=5&q=" + url.QueryEscape("which databases are we running?")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, asked, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	picture.Picture{Dir: "../../docs/pictures", Name: "search", Width: 1000, Height: 760}.Keep(t, page, score.ReplaceAll(page, []byte("score")))
}
