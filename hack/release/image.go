package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the user of every process. It is a number, so that Kubernetes can see that it is not root.
const user = 65532

// image is an image of one static binary. It has authorities and a user, and neither shell nor package manager.
type image struct {
	out, reference, arch, binary string
	data                         bool
	epoch                        int64
	arguments                    []string
}

// entry is a file or a folder of an image or an archive.
type entry struct {
	name    string
	mode    int64
	owner   int
	content []byte // nil for a folder
}

// authorities are Mozilla's, as Go's x509roots pins them. It leaves out authorities with partial trust, because a
// file cannot express that.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return b.Bytes()
}

func (i image) files() ([]entry, error) {
	binary, err := os.ReadFile(i.binary)
	if err != nil {
		return nil, fmt.Errorf("reading the binary: %w", err)
	}
	files := []entry{
		{"etc/", 0o755, 0, nil},
		{"etc/group", 0o644, 0, []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{"etc/nsswitch.conf", 0o644, 0, []byte("hosts: files dns\n")},
		{"etc/passwd", 0o644, 0, []byte("root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
			"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{"etc/ssl/", 0o755, 0, nil},
		{"etc/ssl/certs/", 0o755, 0, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, authorities()},
		{"home/", 0o755, 0, nil},
		{"home/nonroot/", 0o700, user, nil},
		{"tmp/", 0o1777, 0, nil},
		{"usr/", 0o755, 0, nil},
		{"usr/local/", 0o755, 0, nil},
		{"usr/local/bin/", 0o755, 0, nil},
		{"usr/local/bin/" + filepath.Base(i.binary), 0o755, 0, binary},
	}
	if i.data {
		files = append(files, entry{"data/", 0o700, user, nil})
	}
	return files, nil
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// write makes an archive that is an OCI layout and the output of docker save at once. containerd and crane read the
// one, docker load the other.
func (i image) write() error {
	if i.out == "" || i.reference == "" || i.binary == "" || i.arch != "amd64" && i.arch != "arm64" {
		return errors.New("image: want -out, -reference, -binary and -arch amd64 or arm64")
	}
	files, err := i.files()
	if err != nil {
		return err
	}
	layer, err := tarOf(files, i.epoch)
	if err != nil {
		return err
	}
	packed, err := gzipOf(layer)
	if err != nil {
		return err
	}
	created := time.Unix(i.epoch, 0).UTC().Format(time.RFC3339)
	name := filepath.Base(i.binary)
	config, err := json.Marshal(map[string]any{
		"architecture": i.arch, "os": "linux", "created": created,
		"config": map[string]any{
			"User": fmt.Sprintf("%d:%d", user, user), "WorkingDir": "/", "Entrypoint": []string{"/usr/local/bin/" + name}, "Cmd": i.arguments,
			"Env": []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			"Labels": map[string]string{
				"org.opencontainers.image.title":    name,
				"org.opencontainers.image.source":   "https://github.com/k8s-vectordb-sync/k8s-vectordb-sync",
				"org.opencontainers.image.licenses": "Apache-2.0",
				"org.opencontainers.image.version":  i.reference[strings.LastIndexByte(i.reference, ':')+1:],
			},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer)}},
		"history": []map[string]string{{"created": created, "created_by": "hack/release"}},
	})
	if err != nil {
		return fmt.Errorf("encoding the configuration: %w", err)
	}
	all, err := i.layout(config, packed)
	if err != nil {
		return err
	}
	archive, err := tarOf(all, i.epoch)
	if err != nil {
		return err
	}
	if err := os.WriteFile(i.out, archive, 0o644); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}

func (i image) layout(config, layer []byte) ([]entry, error) {
	const (
		manifestType = "application/vnd.oci.image.manifest.v1+json"
		configType   = "application/vnd.oci.image.config.v1+json"
		layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
		indexType    = "application/vnd.oci.image.index.v1+json"
	)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor{MediaType: configType, Digest: digestOf(config), Size: len(config)},
		"layers": []descriptor{{MediaType: layerType, Digest: digestOf(layer), Size: len(layer)}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": indexType,
		"manifests": []descriptor{{
			MediaType: manifestType, Digest: digestOf(manifest), Size: len(manifest), Platform: &platform{i.arch, "linux"},
			Annotations: map[string]string{
				"io.containerd.image.name": i.reference, "org.opencontainers.image.ref.name": i.reference[strings.LastIndexByte(i.reference, ':')+1:],
			},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the index: %w", err)
	}
	docker, err := json.Marshal([]map[string]any{{
		"Config": blob(config), "RepoTags": []string{i.reference}, "Layers": []string{blob(layer)},
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding what docker reads: %w", err)
	}
	return []entry{
		{"blobs/", 0o755, 0, nil},
		{"blobs/sha256/", 0o755, 0, nil},
		{blob(config), 0o644, 0, config},
		{blob(layer), 0o644, 0, layer},
		{blob(manifest), 0o644, 0, manifest},
		{"index.json", 0o644, 0, index},
		{"manifest.json", 0o644, 0, docker},
		{"oci-layout", 0o644, 0, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	}, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func blob(b []byte) string {
	return path.Join("blobs", "sha256", strings.TrimPrefix(digestOf(b), "sha256:"))
}

// tarOf packs entries in their order.
func tarOf(entries []entry, epoch int64) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, ModTime: time.Unix(epoch, 0), Typeflag: tar.TypeReg,
			Size: int64(len(e.content)), Format: tar.FormatUSTAR,
		}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.name, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return b.Bytes(), nil
}

// gzipOf compresses without a name and a time. The best compression takes three times as long and saves a
// hundredth.
func gzipOf(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return b.Bytes(), nil
}
