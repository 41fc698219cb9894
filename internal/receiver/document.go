package receiver

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Names of the stores.
const (
	// Instances holds the documents of cluster-whisperer's contract, by the ID that the client chose.
	Instances = "instances"
	// Resources holds the documents of dot-ai's contract, by namespace:apiVersion:kind:name.
	Resources = "resources"
	// Capabilities holds the names in requests to capabilities/scan; only ID and Name of its documents are set.
	Capabilities = "capabilities"
)

// Document is one object as a receiver holds it.
type Document struct {
	ID          string            `json:"id"`
	Namespace   string            `json:"namespace,omitempty"`
	Name        string            `json:"name,omitempty"`
	Kind        string            `json:"kind,omitempty"`
	APIVersion  string            `json:"apiVersion,omitempty"`
	APIGroup    string            `json:"apiGroup,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	CreatedAt   string            `json:"createdAt,omitempty"`
	// UpdatedAt is only sent to dot-ai. It is no part of the hash: a document that differs in no other field was sent
	// without need.
	UpdatedAt string `json:"updatedAt,omitempty"`
	// Hash is the xxhash64 of all fields but UpdatedAt and Request.
	Hash Hash `json:"hash,omitempty"`
	// Request is the number of the request that wrote this state, 0 when it was read from the log of an earlier run.
	Request uint64 `json:"request,omitempty"`
}

// Hash is the content hash of a document. Its text form is hexadecimal, as JSON numbers lose bits above 2^53.
type Hash uint64

// String returns the hash in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText implements [encoding.TextMarshaler].
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hash) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("parsing content hash: %w", err)
	}
	*h = Hash(v)
	return nil
}

// pointID is the document's identity in dot-ai's contract.
func pointID(namespace, apiVersion, kind, name string) string {
	return namespace + ":" + apiVersion + ":" + kind + ":" + name
}

// groupOf returns the API group of an apiVersion, empty for the core group.
func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// packed is a document as it is kept in memory: its JSON in one string takes a quarter of what the maps would.
type packed struct {
	json      string
	updatedAt string
	hash      Hash
	order     uint64 // place in the order of points, which is random but fixed per ID, as in a vector database
	request   uint64
}

// pack copies the fields of d that it needs; no part of a request's body stays referenced.
func pack(d Document) (packed, error) {
	p := packed{updatedAt: strings.Clone(d.UpdatedAt), request: d.Request, order: xxhash.Sum64String(d.ID)}
	d.UpdatedAt, d.Request, d.Hash = "", 0, 0
	raw, err := json.Marshal(d)
	if err != nil {
		return packed{}, fmt.Errorf("packing document %q: %w", d.ID, err)
	}
	p.json = string(raw)
	p.hash = Hash(xxhash.Sum64(raw)) // encoding/json sorts the keys of maps, so equal documents have equal JSON
	return p, nil
}

func (p packed) unpack() (Document, error) {
	var d Document
	if err := json.Unmarshal([]byte(p.json), &d); err != nil {
		return Document{}, fmt.Errorf("unpacking document: %w", err)
	}
	d.UpdatedAt, d.Hash, d.Request = p.updatedAt, p.hash, p.request
	return d, nil
}
