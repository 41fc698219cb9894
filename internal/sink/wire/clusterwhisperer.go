package wire

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// ClusterWhisperer returns the contract of cluster-whisperer's POST /api/v1/instances/sync.
//
// cluster-whisperer embeds the upserts of a body in groups of 100 with one call to its embedder each, and writes
// each group in one piece. Its answer counts the items that it has parsed. Upserts carry the ID, deletes are IDs.
func ClusterWhisperer() Format { return clusterWhisperer{} }

type clusterWhisperer struct{}

func (clusterWhisperer) Name() string { return "cluster-whisperer" }

// Defaults: the embedder gives up after 60 s, so 90 s leave room for the work around that, and 60 s later the
// receiver has ended any request. Two in flight reach 208 of the 226 objects a second that any number reaches, at
// half the latency of four. A body of up to 100 upserts costs one embedding call; a delete costs 0.2 ms among
// many. The receiver's limit is 5 MiB, but time is short long before: 1 MiB is about 3,000 small objects.
func (clusterWhisperer) Defaults() Defaults {
	return Defaults{
		Timeout:     90 * time.Second,
		Settle:      60 * time.Second,
		MaxInFlight: 2,
		MaxUpserts:  100,
		MaxDeletes:  1000,
		MaxBytes:    1 << 20,
	}
}

func (clusterWhisperer) Overhead() int { return overhead }

func (clusterWhisperer) UpsertSize(i Item) int {
	var scratch [2 * usualItem]byte
	out, _ := appendClusterWhisperer(scratch[:0], &i) // EncodeUpserts says what is wrong with an item.
	return len(out) + len(",")
}

func (clusterWhisperer) EncodeUpserts(items []Item) ([]byte, error) {
	return encodeUpserts(items, appendClusterWhisperer)
}

func (clusterWhisperer) EncodeDeletes(ids []resource.ID) ([]byte, error) {
	return encodeDeletes(ids, func(dst []byte, id resource.ID) ([]byte, string) {
		return appendString(dst, string(id), false), ""
	})
}

func appendClusterWhisperer(dst []byte, i *Item) (out []byte, fault string) {
	if fault := required(i); fault != "" {
		return dst, fault
	}
	c, err := i.Body.Unpack()
	if err != nil {
		return dst, err.Error()
	}
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, string(i.ID), false)
	dst = appendField(dst, "namespace", namespaceOf(i), false)
	dst = appendField(dst, "name", i.Name, false)
	dst = appendField(dst, "kind", i.Type.Kind, false)
	dst = appendAPIVersion(dst, i.Type, false)
	dst = appendField(dst, "apiGroup", i.Type.Group, false)
	dst = appendPairs(dst, "labels", c.Labels, false)
	dst = appendPairs(dst, "annotations", c.Annotations, false)
	dst = appendTime(dst, "createdAt", c.CreatedAt)
	return append(dst, '}'), ""
}

// Classify implements [Format].
func (f clusterWhisperer) Classify(r Response, sent Sent) Outcome { return classify(f, r, sent) }

func (clusterWhisperer) confirm(r Response, sent Sent) (kind Kind, fault string) {
	var answer struct {
		Upserted *int `json:"upserted"`
		Deleted  *int `json:"deleted"`
	}
	if err := json.Unmarshal(r.Body, &answer); err != nil || answer.Upserted == nil || answer.Deleted == nil {
		return WrongEndpoint, "the answer has no counts, so it is not cluster-whisperer's"
	}
	return compareCounts(*answer.Upserted, *answer.Deleted, sent)
}

// clusterWhispererLimit is the longest body that cluster-whisperer takes, in bytes.
const clusterWhispererLimit = 5 << 20

func (clusterWhisperer) badRequest(o *Outcome, r Response, sent Sent) {
	if !isJSON(r.ContentType) {
		if sent.Bytes > clusterWhispererLimit {
			// A proxy that sends the body on in chunks takes the 413 away: a body that is too long is cut and then no
			// JSON.
			o.Kind, o.Reason = TooLarge, "body longer than cluster-whisperer takes"
			return
		}
		o.Kind, o.Reason = WrongEndpoint, "the body was not understood as JSON: "+excerpt(r)
		return
	}
	o.Kind, o.Reason = Unprocessable, answerText(r)
	var answer struct {
		Details []json.RawMessage `json:"details"`
	}
	if json.Unmarshal(r.Body, &answer) != nil {
		return
	}
	bad := newFaults(sent)
	for _, d := range answer.Details {
		var issue struct {
			Message string            `json:"message"`
			Path    []json.RawMessage `json:"path"`
		}
		if json.Unmarshal(d, &issue) != nil || len(issue.Path) < 2 {
			continue
		}
		var array string
		var index int
		if json.Unmarshal(issue.Path[0], &array) != nil || json.Unmarshal(issue.Path[1], &index) != nil {
			continue
		}
		bad.add(array, index, fieldOf(issue.Path[2:]), issue.Message)
	}
	bad.refuse(o)
}

// fieldOf spells the rest of an issue's path with dots: createdAt, labels.tier.
func fieldOf(path []json.RawMessage) string {
	fields := make([]string, 0, len(path))
	for _, p := range path {
		fields = append(fields, strings.Trim(string(p), `"`))
	}
	return strings.Join(fields, ".")
}

func (clusterWhisperer) serverError(o *Outcome, r Response) {
	o.Kind, o.Reason = ServerError, answerText(r)
}
