package picture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds one picture.
const patience = 2 * time.Minute

// Picture is one picture of a page.
type Picture struct {
	// Dir is the folder, Name the name of the file without .png.
	Dir, Name string
	// Width and Height are its size.
	Width, Height int
}

// Keep fails the test if the picture is of a page with another content. It compares says: the page itself, or the
// page without differences between machines. With PICTURES=write it takes the picture.
func (p Picture) Keep(t testing.TB, page, says []byte) {
	t.Helper()
	sum := sha256.Sum256(says)
	now := hex.EncodeToString(sum[:]) + "\n"
	if os.Getenv("PICTURES") == "write" {
		p.take(t, page)
		if err := os.WriteFile(p.path(".sha256"), []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const cure = "make pictures takes it anew"
	then, err := os.ReadFile(p.path(".sha256"))
	if err != nil {
		t.Fatalf("%v; %s", err, cure)
	}
	if string(then) != now {
		t.Errorf("%s shows a page that says something else by now; %s", p.path(".png"), cure)
	}
	f, err := os.Open(p.path(".png"))
	if err != nil {
		t.Fatalf("%v; %s", err, cure)
	}
	defer func() { _ = f.Close() }()
	if c, err := png.DecodeConfig(f); err != nil || c.Width != p.Width || c.Height != p.Height {
		t.Errorf("%s is of %dx%d, want %dx%d: %v; %s", p.path(".png"), c.Width, c.Height, p.Width, p.Height, err, cure)
	}
}

func (p Picture) path(ending string) string { return filepath.Join(p.Dir, p.Name+ending) }

// take has a browser take a picture of a page.
func (p Picture) take(t testing.TB, page []byte) {
	t.Helper()
	html := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(html, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shot, err := filepath.Abs(p.path(".png"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, browser(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--screenshot="+shot,
		fmt.Sprintf("--window-size=%d,%d", p.Width, p.Height), "file://"+html).CombinedOutput()
	if err != nil {
		t.Fatalf("taking the picture %s: %v: %s", p.Name, err, strings.TrimSpace(string(out)))
	}
}

func browser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no chromium was found, which takes the pictures")
	return ""
}
