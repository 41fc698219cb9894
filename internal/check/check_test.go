package check_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers are the successive statuses of one endpoint; the last one repeats for ever.
type answers struct {
	codes []int
	asked []string
}

// RoundTrip implements [http.RoundTripper].
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r.URL.String())
	code := a.codes[0]
	if len(a.codes) > 1 {
		a.codes = a.codes[1:]
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func TestRun_AnEndpoint_AnswersWellOrIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		codes     []int
		wantAsked int
		wantErr   string
	}{
		"at once":               {codes: []int{200}, wantAsked: 1},
		"in the end":            {codes: []int{503, 502, 204}, wantAsked: 3},
		"with a question":       {codes: []int{401}, wantAsked: 1},
		"with a refusal":        {codes: []int{403}, wantAsked: 1},
		"never":                 {codes: []int{503}, wantAsked: 11, wantErr: "http://api/status: it answers Service Unavailable"},
		"with the wrong answer": {codes: []int{404}, wantAsked: 11, wantErr: "it answers Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
				defer stop()
				a := &answers{codes: test.codes}
				var out bytes.Buffer
				err := check.Run(ctx, []string{"http://api/status"}, check.Options{Client: &http.Client{Transport: a}, Out: &out})
				if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want %q in it", err, test.wantErr)
				}
				if len(a.asked) != test.wantAsked {
					t.Errorf("asked %d times, want %d", len(a.asked), test.wantAsked)
				}
				if said := strings.Contains(out.String(), "http://api/status answers"); said != (test.wantErr == "") {
					t.Errorf("it says %q", out.String())
				}
			})
		})
	}
}

func TestRun_SeveralEndpoints_AreAllAsked(t *testing.T) {
	t.Parallel()
	a := &answers{codes: []int{200}}
	if err := check.Run(t.Context(), []string{"http://a/", "http://b/"}, check.Options{Client: &http.Client{Transport: a}, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(a.asked, " "); got != "http://a/ http://b/" {
		t.Errorf("asked %s", got)
	}
}
