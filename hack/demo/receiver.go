package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// receiver is the reference receiver, as a process.
type receiver struct {
	url     string // without a path
	process *process.Process
}

// hit is one answer to a question.
type hit struct {
	Kind        string `json:"kind"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// stats are the receiver's counts since its start.
type stats struct {
	Upserts   int            `json:"upserts"`
	Deletes   int            `json:"deletes"`
	Unchanged int            `json:"unchanged"`
	Overlaps  int            `json:"overlaps"`
	BySender  map[string]int `json:"bySender"`
}

func startReceiver(ctx context.Context, binaries, dir string) (*receiver, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + address}
	if r.process, err = process.Start(process.Command{
		Binary: filepath.Join(binaries, "receiver"),
		Args:   []string{"--listen", address, "--admin"},
		Log:    filepath.Join(dir, "receiver.log"),
	}); err != nil {
		return nil, err
	}
	if err := awaitOK(ctx, r.process, r.url+"/healthz"); err != nil {
		return nil, errors.Join(err, r.process.Stop(false, 0))
	}
	return r, nil
}

// documents returns all documents of the receiver, by ID.
func (r *receiver) documents(ctx context.Context) (map[resource.ID]workload.Doc, error) {
	body, err := get(ctx, r.url+"/admin/documents?store=instances")
	if err != nil {
		return nil, err
	}
	docs := make(map[resource.ID]workload.Doc)
	lines := bufio.NewReader(bytes.NewReader(body))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return docs, nil
		}
		var d struct {
			ID          resource.ID       `json:"id"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
			CreatedAt   string            `json:"createdAt"`
		}
		if err := json.Unmarshal(line, &d); err != nil {
			return nil, fmt.Errorf("decoding a document of the receiver: %w", err)
		}
		docs[d.ID] = workload.Doc{Labels: d.Labels, Annotations: d.Annotations, CreatedAt: d.CreatedAt}
	}
}

func (r *receiver) stats(ctx context.Context) (stats, error) {
	var s stats
	err := r.decode(ctx, "/admin/stats", &s)
	return s, err
}

// search asks a question and returns the best answers.
func (r *receiver) search(ctx context.Context, question string, limit int) ([]hit, error) {
	query := url.Values{"q": {question}, "limit": {strconv.Itoa(limit)}}
	var answer struct {
		Hits []hit `json:"hits"`
	}
	err := r.decode(ctx, "/search?"+query.Encode(), &answer)
	return answer.Hits, err
}

func (r *receiver) decode(ctx context.Context, path string, into any) error {
	body, err := get(ctx, r.url+path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decoding the receiver's answer to GET %s: %w", path, err)
	}
	return nil
}

var client = &http.Client{Timeout: 30 * time.Second}

// get returns the body of a 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer to GET %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, body)
	}
	return body, nil
}

// awaitOK waits until a URL of a process answers 200.
func awaitOK(ctx context.Context, p *process.Process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Await(ctx, func(ctx context.Context) error {
		_, err := get(ctx, url)
		return err
	})
}
