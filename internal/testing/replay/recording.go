package replay

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// aggregated is the media type by which a client asks for all of discovery in one answer.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// Recording holds the answers of a real API server. Make one with [Record] or [Load].
type Recording struct {
	// Documents are answers that never change, by path; aggregated discovery is under the path with a "+".
	Documents map[string]Document
	// Types are all types that can be listed and watched, with their objects.
	Types []Recorded
}

// Document is one answer.
type Document struct {
	ContentType string
	Body        []byte
}

// Recorded is one type.
type Recorded struct {
	Type    resource.Type
	Objects []metav1.PartialObjectMetadata
}

// Record records the answers of an API server.
func Record(ctx context.Context, config *rest.Config) (*Recording, error) {
	types, err := workload.Types(config)
	if err != nil {
		return nil, err
	}
	r := &Recording{Documents: make(map[string]Document)}
	if err := r.documents(ctx, config, types); err != nil {
		return nil, err
	}
	quiet := rest.CopyConfig(config)
	quiet.WarningHandler = rest.NoWarnings{} // recording a deprecated type is no mistake
	client, err := metadata.NewForConfig(quiet)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	for _, t := range types {
		list, err := client.Resource(t.GVR()).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", t, err)
		}
		r.Types = append(r.Types, Recorded{Type: t, Objects: list.Items})
	}
	return r, nil
}

// documents records the answers that never change.
func (r *Recording) documents(ctx context.Context, config *rest.Config, types []resource.Type) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("making an HTTP client: %w", err)
	}
	ask := func(path, accept, as string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", accept)
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("asking for %s: %w", path, err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("asking for %s: %s: %w", path, resp.Status, errRecording)
		}
		r.Documents[as] = Document{ContentType: resp.Header.Get("Content-Type"), Body: body}
		return nil
	}
	paths := map[string]bool{"/version": true, "/api": true, "/apis": true}
	for _, t := range types {
		paths[root(t.Group, t.Version)] = true
	}
	for path := range paths {
		if err := ask(path, "application/json", path); err != nil {
			return err
		}
	}
	return errors.Join(ask("/api", aggregated, "/api+"), ask("/apis", aggregated, "/apis+"))
}

// errRecording says that an answer has an unexpected form.
var errRecording = errors.New("this is no answer to be recorded")

// root is the path of a group's version.
func root(group, version string) string {
	if group == "" {
		return "/api/" + version
	}
	return "/apis/" + group + "/" + version
}

// Save writes a recording to a file.
func (r *Recording) Save(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := gzip.NewWriter(f)
	if err := json.NewEncoder(z).Encode(r); err != nil {
		return fmt.Errorf("writing a recording: %w", err)
	}
	return z.Close()
}

// Load reads the file of [Recording.Save].
func Load(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a recording: %w", err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading a recording: %w", err)
	}
	var r Recording
	if err := json.NewDecoder(z).Decode(&r); err != nil {
		return nil, fmt.Errorf("reading a recording: %w", err)
	}
	return &r, nil
}
