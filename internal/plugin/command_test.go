package plugin_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
)

// TestTokenOfAnAPIWithAuthorization reads a token from a file and sends it, and asks for a token where it is
// missing.
func TestTokenOfAnAPIWithAuthorization(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(api.New(well(0), api.Options{Authorize: func(r *http.Request) (bool, int, error) {
		return r.Header.Get("Authorization") == "Bearer mine", http.StatusUnauthorized, nil
	}}).Handler())
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "version", "--api", s.URL, "--api-token-file", file); got.code != 0 || !strings.Contains(got.out, "v1.0.0") {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "version", "--api", s.URL); got.code != 1 || !strings.Contains(got.out, "name a file with a token by --api-token-file") {
		t.Errorf("got %+v", got)
	}
	if got := run(t, "version", "--api", s.URL, "--api-token-file", file+"x"); got.code != 2 || !strings.Contains(got.errOut, "reading --api-token-file") {
		t.Errorf("got %+v", got)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`--api: "ftp://x" is no URL, want`:           {"ring", "--api", "ftp://x"},
		`--request-timeout "soon" is no duration`:    {"ring", "--api", "127.0.0.1:1", "--request-timeout", "soon"},
		`unknown command "stauts" for "kubectl vect`: {"stauts"},
		"Did you mean this?\n\tstatus":               {"stauts"},
		`unknown command "now" for "kubectl`:         {"status", "now"},
	} {
		if got := run(t, args...); got.code != 2 || !strings.Contains(got.errOut, want) {
			t.Errorf("%v: got %+v, want %q", args, got, want)
		}
	}
}

// TestCompletionIsAskedForByName holds for the name by which kubectl calls the program that completes.
func TestCompletionIsAskedForByName(t *testing.T) {
	t.Parallel()
	urls := backendURL(t, well(0)) + "," + backendURL(t, well(1))
	for typed, c := range map[string]struct {
		args []string
		want string
	}{
		"commands":  {[]string{"ri"}, "ring\tShow who shares the work\n:4\n"},
		"replicas":  {[]string{"resync", "--api", urls, "--replica", "sync"}, "sync-0\nsync-1\n:4\n"},
		"resources": {[]string{"resync", "--api", urls, "--resource", ""}, "deployments.apps\npods\n:4\n"},
		"outputs":   {[]string{"ring", "-o", ""}, "json\nyaml\nname\nwide\ncustom-columns=\njsonpath=\njsonpath-as-json=\njsonpath-file=\ngo-template=\ngo-template-file=\n:4\n"},
		"nobody":    {[]string{"resync", "--api", "127.0.0.1:1", "--resource", ""}, ":4\n"},
	} {
		t.Run(typed, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			args := append([]string{"/usr/bin/kubectl_complete-vectordb_sync"}, c.args...)
			code := plugin.Main(t.Context(), args, "v1.2.3", genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &bytes.Buffer{}})
			if diff := cmp.Diff(c.want, out.String()); code != 0 || diff != "" {
				t.Errorf("exit code %d (-want +got):\n%s", code, diff)
			}
		})
	}
}
