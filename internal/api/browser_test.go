//go:build browser

package api_test

import (
	"bytes"
	"context"
	"image"
	_ "image/png"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// chromium runs a headless browser and returns what it wrote to its standard output and error.
func chromium(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium was found")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
	}, args...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	return out.String(), log.String()
}

// browse serves a page of a ring and one of a fleet.
func browse(t *testing.T, r api.Ring, f api.Fleet) (url string) {
	t.Helper()
	b := full()
	b.ring, b.fleet = r, f
	srv := httptest.NewServer(api.New(b, api.Options{}).Handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestBrowserAcceptsThePages loads each page in a real browser. Its console has a message if a page asks for
// something that the policy forbids. SCREENSHOTS names a folder that keeps the pictures for people to look at.
func TestBrowserAcceptsThePages(t *testing.T) {
	well, ill := browse(t, threeMembers(), wellFleet()), browse(t, troubled(), illFleet())
	for name, tc := range map[string]struct {
		url, size string
		dark      bool
		want      []string
	}{
		"index":         {url: well + "/", size: "1200,900", want: []string{"POST /api/v1/resync"}},
		"index-dark":    {url: well + "/", size: "1200,900", dark: true},
		"ring":          {url: well + "/ring", size: "1200,900", want: []string{"All 3 members agree", "sync-2", "34.2 %"}},
		"ring-dark":     {url: well + "/ring", size: "1200,900", dark: true},
		"status":        {url: well + "/status", size: "1200,900", want: []string{"Receiver", "cluster-whisperer"}},
		"status-dark":   {url: well + "/status", size: "1200,900", dark: true},
		"status-phone":  {url: well + "/status?refresh=30", size: "500,1100"},
		"status-ill":    {url: ill + "/status", size: "1200,1400", want: []string{"needs a person", "--force", "sync-2&lt;b&gt;", "HTTP 401 &lt;b&gt;"}},
		"status-ill-dk": {url: ill + "/status", size: "1200,1400", dark: true},
		"ring-phone":    {url: well + "/ring?refresh=30", size: "500,1100"},
		"troubled":      {url: ill + "/ring", size: "1200,1000", want: []string{"The members have not agreed for", "This replica is fenced", "sync-4&lt;b&gt;"}},
		"troubled-dark": {url: ill + "/ring", size: "1200,1000", dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			dom, log := chromium(t, "--dump-dom", tc.url)
			for _, want := range tc.want {
				if !strings.Contains(dom, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			if strings.Contains(log, "CONSOLE") {
				t.Errorf("the browser complains: %s", log)
			}
			dir := os.Getenv("SCREENSHOTS")
			if dir == "" {
				dir = t.TempDir()
			}
			args := []string{"--screenshot=" + filepath.Join(dir, name+".png"), "--window-size=" + tc.size}
			if tc.dark {
				args = append(args, "--blink-settings=preferredColorScheme=0")
			}
			chromium(t, append(args, tc.url)...)
			light := background(t, filepath.Join(dir, name+".png"))
			if light == tc.dark {
				t.Errorf("the page is light: %v; the user wants dark: %v", light, tc.dark)
			}
		})
	}
}

// background tells whether the corner of a picture is light. A dark corner for a user who wants dark proves that
// the browser applied the style sheet.
func background(t *testing.T, path string) (light bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	r, g, b, _ := img.At(2, 2).RGBA()
	return (r+g+b)/3 > 0x8000
}
