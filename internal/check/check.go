package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// pace is how long an endpoint is left alone that does not answer well.
	pace = time.Second
	// attemptTimeout bounds one request: a Service without a pod swallows requests.
	attemptTimeout = 5 * time.Second
	// maxBody is how much of an answer is read, so that its connection can be used again.
	maxBody = 64 << 10
)

// Options say how endpoints are asked.
type Options struct {
	// Client asks the endpoints; nil is a client without a proxy, because the endpoints are near.
	Client *http.Client
	// Out takes a line for each endpoint that answers.
	Out io.Writer
}

// Run asks one endpoint after the other until it answers well. If ctx ends before, it returns an error that names
// the endpoint.
func Run(ctx context.Context, urls []string, opts Options) error {
	client := opts.Client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: attemptTimeout}
	}
	for _, url := range urls {
		var last error
		err := wait.PollUntilContextCancel(ctx, pace, true, func(ctx context.Context) (bool, error) {
			status, err := ask(ctx, client, url)
			if err != nil {
				last = err
				return false, nil //nolint:nilerr // What does not answer well is asked again until ctx ends.
			}
			_, err = fmt.Fprintf(opts.Out, "%s answers: %s\n", url, status)
			return true, err
		})
		if err != nil {
			return fmt.Errorf("asking %s: %w", url, errors.Join(last, err))
		}
	}
	return nil
}

// ask returns the status of an endpoint that answers well.
func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("making the request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("sending the request: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	well := resp.StatusCode >= 200 && resp.StatusCode < 300
	if !well && resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	return resp.Status, nil
}
