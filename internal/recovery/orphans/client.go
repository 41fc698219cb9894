package orphans

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound/httpclient"
)

const (
	// ceiling is how many points dot-ai reads of its collection, whatever the request asks for.
	ceiling = 10_000
	// pageSize is how many documents the client requests at once. dot-ai gives 1,000 at most; half of that takes
	// half the memory.
	pageSize = 500
	// maxDocuments bounds the documents held of one kind, from a receiver without a ceiling. A document takes
	// about 100 bytes here.
	maxDocuments = 100_000
	// maxKinds bounds the kinds of one receiver.
	maxKinds = 10_000
	// maxAnswer bounds one answer, in bytes. A page of objects with many labels is 1 MiB.
	maxAnswer = 8 << 20
)

// ErrNoList says that a receiver cannot list its documents.
var ErrNoList = errors.New("the receiver has no list of its documents")

// ErrContract says that a receiver answered something else than dot-ai does. The client uses nothing of the
// answer.
var ErrContract = errors.New("the receiver's answer is not dot-ai's")

// StatusError is an answer other than success.
type StatusError struct {
	// Status is the HTTP status.
	Status int
	// Code and Message come from the receiver's answer, the message cut at 200 bytes; both may be empty.
	Code, Message string
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the receiver answers HTTP %d %s: %q", e.Status, e.Code, e.Message)
}

// Kind is one kind of documents that a receiver holds.
type Kind struct {
	// Kind and APIVersion are as in documents, such as Deployment and apps/v1.
	Kind, APIVersion string
	// Documents is how many the receiver saw.
	Documents int
}

// Document is the place of one document.
type Document struct {
	// Namespace is as the receiver has it: [resource.ClusterNamespace] for cluster-scoped objects.
	Namespace string
	// Name is the object's name.
	Name string
}

// Listing is what a receiver lists of one kind.
type Listing struct {
	// Kind is the kind that was asked for.
	Kind Kind
	// Documents are ordered by namespace and name, each once.
	Documents []Document
	// Blind tells that there may be other documents: the list was cut, or changed while it was read.
	Blind bool
}

// Options are the settings of a [Client].
type Options struct {
	// Token yields the bearer token, which dot-ai requires; CA is a bundle in PEM. See [httpclient.Options].
	Token func() (string, error)
	CA    []byte
	// Files are as in [httpclient.Options].
	Files outbound.Files
	// Version is the version of this program.
	Version string
	// Timeout bounds one request. Zero means 60 s: dot-ai reads 10,000 points for each.
	Timeout time.Duration
	// Pace is called before each request and may wait; done is called after the request. Nil means no waiting.
	Pace func(ctx context.Context) (done func(), err error)
	// Transport replaces the connections, for tests. Nil means real ones.
	Transport http.RoundTripper
}

// Client asks one receiver. Create it with [New].
type Client struct {
	http *httpclient.Client
	base *url.URL // of /api/v1/resources
	most int      // documents of one kind
	pace func(ctx context.Context) (done func(), err error)
}

// New returns a client of the receiver whose documents of that format are posted to endpoint, such as
// http://dot-ai:3456/api/v1/resources/sync; its lists are beside that. It fails with [ErrNoList] for a format
// whose receivers have none, and connects to nothing yet.
func New(format string, endpoint *url.URL, opts Options) (*Client, error) {
	if format != "dot-ai" {
		return nil, fmt.Errorf("format %s: %w", format, ErrNoList)
	}
	base, err := listsBeside(endpoint)
	if err != nil {
		return nil, err
	}
	e, err := httpclient.New(httpclient.Options{
		Version: opts.Version, Token: opts.Token, CA: opts.CA, Host: base.Hostname(), Files: opts.Files, Timeout: opts.Timeout, MaxBytes: maxAnswer, Transport: opts.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", base.Redacted(), err)
	}
	c := &Client{http: e, base: base, most: maxDocuments, pace: opts.Pace}
	if c.pace == nil {
		c.pace = func(context.Context) (func(), error) { return func() {}, nil }
	}
	return c, nil
}

func listsBeside(endpoint *url.URL) (*url.URL, error) {
	if endpoint == nil || endpoint.Host == "" {
		return nil, errors.New("endpoint is no complete URL, want one such as http://dot-ai:3456/api/v1/resources/sync")
	}
	path, ok := strings.CutSuffix(endpoint.Path, "/sync")
	if !ok {
		return nil, fmt.Errorf("endpoint %s: %w: its path does not end in /sync", endpoint.Redacted(), ErrNoList)
	}
	base := *endpoint
	base.Path, base.RawPath, base.RawQuery = path, "", ""
	return &base, nil
}

// Close ends the idle connections.
func (c *Client) Close() { c.http.Close() }

// Kinds returns the kinds of which the receiver holds documents, ordered by kind and version, and whether it may hold
// documents that it does not see.
func (c *Client) Kinds(ctx context.Context) (kinds []Kind, blind bool, err error) {
	var data struct {
		Kinds *[]struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
			Count      int    `json:"count"`
		} `json:"kinds"`
	}
	if err := c.get(ctx, "/kinds", nil, &data); err != nil {
		return nil, false, fmt.Errorf("asking for kinds: %w", err)
	}
	if data.Kinds == nil || len(*data.Kinds) > maxKinds {
		return nil, false, fmt.Errorf("asking for kinds: %w: no list of at most %d kinds", ErrContract, maxKinds)
	}
	total := 0
	for _, k := range *data.Kinds {
		if k.Kind == "" || k.APIVersion == "" || k.Count < 0 {
			return nil, false, fmt.Errorf("asking for kinds: %w: %d of kind %.64q, version %.64q", ErrContract, k.Count, k.Kind, k.APIVersion)
		}
		total += k.Count
		kinds = append(kinds, Kind{Kind: k.Kind, APIVersion: k.APIVersion, Documents: k.Count})
	}
	slices.SortFunc(kinds, func(a, b Kind) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.APIVersion, b.APIVersion))
	})
	return merged(kinds), total >= ceiling, nil
}

// merged adds up kinds that differ only in their group, which a request does not name: a list of one has the
// documents of all.
func merged(sorted []Kind) []Kind {
	kinds := sorted[:0]
	for _, k := range sorted {
		if n := len(kinds); n > 0 && kinds[n-1].Kind == k.Kind && kinds[n-1].APIVersion == k.APIVersion {
			kinds[n-1].Documents += k.Documents
			continue
		}
		kinds = append(kinds, k)
	}
	return kinds
}

// page is one page of a list.
type page struct {
	Resources *[]struct {
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	} `json:"resources"`
	Total *int `json:"total"`
}

// List returns the documents of one kind, page by page. After an error nothing is known: List does not return the
// pages read before it.
func (c *Client) List(ctx context.Context, kind Kind) (Listing, error) {
	l := Listing{Kind: kind}
	total := -1
	for offset := 0; ; {
		p, err := c.page(ctx, kind, offset)
		if err != nil {
			return Listing{}, fmt.Errorf("listing %s of %s: %w", kind.Kind, kind.APIVersion, err)
		}
		for _, r := range *p.Resources {
			l.Documents = append(l.Documents, Document{Namespace: r.Namespace, Name: r.Name})
		}
		n := len(*p.Resources)
		if total >= 0 && *p.Total != total {
			l.Blind = true // A page is a slice of the documents that exist when it is read.
		}
		total = *p.Total
		if offset += n; n == 0 || offset >= total || offset >= c.most {
			l.Blind = l.Blind || offset < total || total >= ceiling
			break
		}
	}
	slices.SortFunc(l.Documents, func(a, b Document) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	before := len(l.Documents)
	l.Documents = slices.Compact(l.Documents)
	l.Blind = l.Blind || len(l.Documents) < before // One stands twice, so another stands nowhere.
	return l, nil
}

// page reads one page and checks that it is the requested one: a receiver that ignores the kind would list
// objects of another kind as this one's.
func (c *Client) page(ctx context.Context, kind Kind, offset int) (page, error) {
	var p page
	query := url.Values{
		"kind": {kind.Kind}, "apiVersion": {kind.APIVersion}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)},
	}
	if err := c.get(ctx, "", query, &p); err != nil {
		return page{}, err
	}
	if p.Resources == nil || p.Total == nil || len(*p.Resources) > pageSize || *p.Total < offset+len(*p.Resources) && len(*p.Resources) > 0 {
		return page{}, fmt.Errorf("%w: no page of at most %d documents with their total", ErrContract, pageSize)
	}
	for _, r := range *p.Resources {
		if r.Kind != kind.Kind || r.APIVersion != kind.APIVersion || r.Namespace == "" || r.Name == "" {
			return page{}, fmt.Errorf("%w: it lists %.64q %.64q of version %.64q in namespace %.64q", ErrContract, r.Kind, r.Name, r.APIVersion, r.Namespace)
		}
	}
	return p, nil
}

// get reads the data of one answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, data any) error {
	u := *c.base
	u.Path += path
	u.RawQuery = query.Encode()
	done, err := c.pace(ctx)
	if err != nil {
		return err
	}
	a, err := c.http.Do(ctx, http.MethodGet, &u, nil)
	done()
	if err != nil {
		return err
	}
	var envelope struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Error   struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	err = json.Unmarshal(a.Body, &envelope)
	switch {
	case a.Status != http.StatusOK:
		e := &StatusError{Status: a.Status}
		if err == nil {
			e.Code, e.Message = cut(envelope.Error.Code), cut(envelope.Error.Message)
		}
		return e
	case err != nil:
		return fmt.Errorf("%w: %w", ErrContract, err)
	case !envelope.Success:
		return fmt.Errorf("%w: it has no success", ErrContract)
	}
	if err := json.Unmarshal(envelope.Data, data); err != nil {
		return fmt.Errorf("%w: %w", ErrContract, err)
	}
	return nil
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
