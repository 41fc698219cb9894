package picture_test

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/picture"
)

// failing records that a test failed, without failing.
type failing struct {
	testing.TB

	failed bool
}

func (f *failing) Helper() {}

func (f *failing) Errorf(string, ...any) { f.failed = true }

func (f *failing) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

// TestKeep_FailsForAnotherPage compares a picture with its own page, another page, another size, and none.
func TestKeep_FailsForAnotherPage(t *testing.T) {
	t.Setenv("PICTURES", "")
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "one.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "one.sha256"), []byte(hashOfA+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		p     picture.Picture
		says  string
		fails bool
	}{
		"the same":      {picture.Picture{Dir: dir, Name: "one", Width: 4, Height: 3}, "a", false},
		"another page":  {picture.Picture{Dir: dir, Name: "one", Width: 4, Height: 3}, "b", true},
		"another size":  {picture.Picture{Dir: dir, Name: "one", Width: 5, Height: 3}, "a", true},
		"no such thing": {picture.Picture{Dir: dir, Name: "two", Width: 4, Height: 3}, "a", true},
	} {
		t.Run(name, func(t *testing.T) {
			probe := &failing{TB: t}
			done := make(chan struct{})
			go func() { // Ends with Keep, by Goexit or by returning.
				defer close(done)
				tc.p.Keep(probe, []byte("<p>"), []byte(tc.says))
			}()
			<-done
			if probe.failed != tc.fails {
				t.Errorf("failed: %v, want %v", probe.failed, tc.fails)
			}
		})
	}
}

// hashOfA is the SHA-256 of the letter a.
const hashOfA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
