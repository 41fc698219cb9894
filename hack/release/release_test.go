package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// untar returns the entries of an archive by name.
func untar(t *testing.T, raw []byte) (map[string][]byte, []*tar.Header) {
	t.Helper()
	out, headers := map[string][]byte{}, []*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name], headers = content, append(headers, h)
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImage_SameInput_SameBytesAndBothLayouts(t *testing.T) {
	binary := write(t, "receiver", "a binary")
	var archives [][]byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "image.tar")
		err := run([]string{"image", "-epoch", "1000000000", "-arch", "arm64", "-binary", binary, "-data", "-reference", "registry:5000/x/receiver:1.2.3",
			"-out", out, "--", "--listen=:3000"}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, raw)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Fatal("two images of one binary differ")
	}
	files, _ := untar(t, archives[0])
	for name, content := range files {
		if digest, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && digest != "" && digestOf(content) != "sha256:"+digest {
			t.Errorf("%s is not what it is called", name)
		}
	}
	var index struct{ Manifests []descriptor }
	must(t, json.Unmarshal(files["index.json"], &index))
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	must(t, json.Unmarshal(files[strings.Replace(index.Manifests[0].Digest, "sha256:", "blobs/sha256/", 1)], &manifest))
	var docker []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	must(t, json.Unmarshal(files["manifest.json"], &docker))
	if "sha256:"+filepath.Base(docker[0].Config) != manifest.Config.Digest || "sha256:"+filepath.Base(docker[0].Layers[0]) != manifest.Layers[0].Digest {
		t.Errorf("docker and OCI name different blobs: %+v %+v", docker, manifest)
	}
	if docker[0].RepoTags[0] != "registry:5000/x/receiver:1.2.3" || index.Manifests[0].Annotations["io.containerd.image.name"] != docker[0].RepoTags[0] {
		t.Errorf("names %+v %+v", docker, index)
	}
	var config struct {
		Architecture, Created string
		Config                struct {
			User            string
			Entrypoint, Cmd []string
			Labels          map[string]string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	must(t, json.Unmarshal(files[docker[0].Config], &config))
	if config.Architecture != "arm64" || config.Created != "2001-09-09T01:46:40Z" || config.Config.User != "65532:65532" ||
		!slices.Equal(config.Config.Entrypoint, []string{"/usr/local/bin/receiver"}) || !slices.Equal(config.Config.Cmd, []string{"--listen=:3000"}) {
		t.Errorf("configuration %+v", config)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(files[docker[0].Layers[0]]))
	must(t, err)
	layer, err := io.ReadAll(unpacked)
	must(t, err)
	if digestOf(layer) != config.RootFS.DiffIDs[0] {
		t.Error("the layer is not what the configuration names")
	}
	inside, headers := untar(t, layer)
	if string(inside["usr/local/bin/receiver"]) != "a binary" || inside["data/"] == nil {
		t.Errorf("the layer lacks the binary or /data")
	}
	for _, h := range headers {
		if own := h.Name == "data/" || h.Name == "home/nonroot/"; own != (h.Uid == 65532) || h.ModTime.Unix() != 1000000000 {
			t.Errorf("%s is of %d at %s", h.Name, h.Uid, h.ModTime)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(inside["etc/ssl/certs/ca-certificates.crt"]) || bytes.Count(inside["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN")) < 100 {
		t.Error("the authorities cannot be read, or are few")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPack_OtherFolderAndOrder_SameBytes packs the same files from two folders, in two orders and with two dates.
func TestPack_OtherFolderAndOrder_SameBytes(t *testing.T) {
	var archives [][]byte
	for round := range 2 {
		folder := t.TempDir()
		binary, licence, out := filepath.Join(folder, "zebra"), filepath.Join(folder, "LICENSE"), filepath.Join(folder, "out.tar.gz")
		must(t, os.WriteFile(binary, []byte("binary"), 0o700))
		must(t, os.WriteFile(licence, []byte("free"), 0o640))
		must(t, os.Chtimes(binary, time.Unix(int64(round), 0), time.Unix(int64(round), 0)))
		files := []string{binary, licence}
		if round > 0 {
			slices.Reverse(files)
		}
		must(t, run(append([]string{"pack", "-epoch", "7", "-out", out}, files...), io.Discard))
		raw, err := os.ReadFile(out)
		must(t, err)
		archives = append(archives, raw)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same files make different archives")
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(archives[0]))
	must(t, err)
	raw, err := io.ReadAll(unpacked)
	must(t, err)
	content, headers := untar(t, raw)
	if len(headers) != 2 || headers[0].Name != "LICENSE" || headers[0].Mode != 0o644 || headers[1].Mode != 0o755 || string(content["zebra"]) != "binary" {
		t.Errorf("the archive holds %v", headers)
	}
	for _, h := range headers {
		if h.ModTime.Unix() != 7 || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is of %d:%d, dated %d", h.Name, h.Uid, h.Gid, h.ModTime.Unix())
		}
	}
	if err := run([]string{"pack", "-out", filepath.Join(t.TempDir(), "x"), "/no/such/file"}, io.Discard); err == nil {
		t.Error("a file that is not there is packed")
	}
}

func TestRepack_OtherOrderAndTimes_SameBytes(t *testing.T) {
	pack := func(names ...string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for i, n := range names {
			must(t, w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(n)), Uid: i, Typeflag: tar.TypeReg}))
			_, err := io.WriteString(w, n)
			must(t, err)
		}
		must(t, w.Close())
		must(t, z.Close())
		return write(t, "x.tgz", b.String())
	}
	one, two := pack("c/values.yaml", "c/Chart.yaml", "c/a"), pack("c/a", "c/values.yaml", "c/Chart.yaml")
	must(t, run([]string{"repack", "-epoch", "7", one}, io.Discard))
	must(t, run([]string{"repack", "-epoch", "7", two}, io.Discard))
	first, err := os.ReadFile(one)
	must(t, err)
	second, err := os.ReadFile(two)
	must(t, err)
	if !bytes.Equal(first, second) {
		t.Error("they differ")
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(first))
	must(t, err)
	raw, err := io.ReadAll(unpacked)
	must(t, err)
	if _, headers := untar(t, raw); headers[0].Name != "c/Chart.yaml" || len(headers) != 3 {
		t.Errorf("first is %s of %d, want Chart.yaml of 3", headers[0].Name, len(headers))
	}
}

func TestNotes_Version_OrWhatIsUnreleased(t *testing.T) {
	file := write(t, "CHANGELOG.md", "# Changelog\n\nWords.\n\n## Unreleased\n\n- new\n\n## 1.1.0 - 2026-01-01\n\n- middle\n\n## [v1.0.0]\n\n- old\n")
	for version, want := range map[string]string{
		"v1.1.0": "## v1.1.0\n\n- middle\n", "v1.0.0": "## v1.0.0\n\n- old\n", "v2.0.0": "## v2.0.0\n\n- new\n",
	} {
		var out strings.Builder
		if err := run([]string{"notes", version, file}, &out); err != nil || out.String() != want {
			t.Errorf("%s: %q %v, want %q", version, out.String(), err, want)
		}
	}
}

// TestCheckSBOM_ModuleMissing_Fails reads this test's own binary, which is made of a module.
func TestCheckSBOM_ModuleMissing_Fails(t *testing.T) {
	binary, err := os.Executable()
	must(t, err)
	info, err := buildinfo.ReadFile(binary)
	must(t, err)
	document := func(components ...string) string {
		return write(t, "x.json", `{"bomFormat":"CycloneDX","metadata":{"component":{"name":"`+info.Main.Path+`"}},"components":[`+
			strings.Join(components, ",")+`]}`)
	}
	std := `{"name":"std","version":"` + strings.Fields(info.GoVersion)[0] + `"}`
	var all []string
	for _, m := range info.Deps {
		all = append(all, `{"name":"`+m.Path+`","version":"`+m.Version+`"}`)
	}
	must(t, checkSBOM(binary, document(append(all, std)...)))
	for name, file := range map[string]string{
		"golang.org/x/crypto/x509roots/fallback@v0.0.0": document(std), "std@go1.": document(all...), "want CycloneDX": write(t, "y.json", "{}"),
	} {
		if err := checkSBOM(binary, file); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want that it lacks %s", err, name)
		}
	}
}
