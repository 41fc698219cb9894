package capabilities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound/httpclient"
)

// maxReason bounds the part of an answer that an error repeats, in bytes.
const maxReason = 200

// client makes the request of a batch.
type client struct {
	http     *httpclient.Client
	endpoint *url.URL
}

// payload is the body of a request. Its arrays are never null.
type payload struct {
	Upserts []string `json:"upserts"`
	Deletes []string `json:"deletes"`
}

// scan sends a batch once. The error says why it was not accepted.
func (c client) scan(ctx context.Context, b batch, now func() time.Time) (result, error) {
	body, err := json.Marshal(payload{b.upserts, b.deletes})
	if err != nil {
		return result{}, fmt.Errorf("encoding names: %w", err)
	}
	a, err := c.http.Do(ctx, http.MethodPost, c.endpoint, body)
	if err != nil {
		return result{}, err
	}
	after := retryAfter(a.Header.Get("Retry-After"), now())
	switch a.Status {
	case http.StatusAccepted, http.StatusOK:
		if err := counted(a.Body, b); err != nil {
			return result{}, err
		}
		return result{kind: accepted}, nil
	case http.StatusTooManyRequests:
		return result{kind: busy, after: after}, said(a)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return result{kind: refused}, said(a)
	default:
		return result{after: after}, said(a)
	}
}

// counted checks that the receiver counted the names that were sent: a proxy, or a receiver that mistakes the body,
// may answer 200 to any request.
func counted(body []byte, b batch) error {
	var got struct {
		Upserts *int `json:"upserts"`
		Deletes *int `json:"deletes"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Upserts == nil || got.Deletes == nil {
		return errors.New("the answer does not say how many names were read, want upserts and deletes")
	}
	if *got.Upserts != len(b.upserts) || *got.Deletes != len(b.deletes) {
		return fmt.Errorf("the receiver read %d added and %d removed names, want %d and %d", *got.Upserts, *got.Deletes, len(b.upserts), len(b.deletes))
	}
	return nil
}

func said(a httpclient.Answer) error {
	text := strings.ToValidUTF8(string(a.Body[:min(len(a.Body), maxReason)]), "")
	return fmt.Errorf("HTTP %d: %q", a.Status, text)
}

// retryAfter reads the header of that name: seconds or a date. A value that cannot be read asks for no pause.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
