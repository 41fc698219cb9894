package wire

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// DotAI returns the contract of dot-ai's POST /api/v1/resources/sync.
//
// dot-ai embeds each upsert by itself and deletes one by one. It makes the ID itself, so neither upserts nor
// deletes carry one. An object that comes with another updatedAt is embedded again. The body never holds
// isResync, which deletes every document that the same body does not list. JSON is ASCII only, because dot-ai
// breaks a character of several bytes that falls on the border of two chunks of the body.
func DotAI() Format { return dotAI{} }

type dotAI struct{}

func (dotAI) Name() string { return "dot-ai" }

// Defaults: three items of a body may take 30 s each before its circuit breaker opens. So an honest answer takes
// up to 90 s, and so does a request for which no client waits. Work in one request is sequential and that of
// several is not, so bodies are small and several go at once: 61 objects a second at eight in flight, 9 at one. A
// delete costs 100 ms. dot-ai has no limit on the length of a body; the usual proxy in front of it has 1 MiB.
func (dotAI) Defaults() Defaults {
	return Defaults{
		Timeout:     120 * time.Second,
		Settle:      90 * time.Second,
		MaxInFlight: 8,
		MaxUpserts:  20,
		MaxDeletes:  20,
		MaxBytes:    768 << 10,
	}
}

func (dotAI) Overhead() int { return overhead }

func (dotAI) UpsertSize(i Item) int {
	var scratch [2 * usualItem]byte
	out, _ := appendDotAI(scratch[:0], &i) // EncodeUpserts says what is wrong with an item.
	return len(out) + len(",")
}

func (dotAI) EncodeUpserts(items []Item) ([]byte, error) { return encodeUpserts(items, appendDotAI) }

func (dotAI) EncodeDeletes(ids []resource.ID) ([]byte, error) {
	return encodeDeletes(ids, appendDotAIDelete)
}

func appendDotAI(dst []byte, i *Item) (out []byte, fault string) {
	if fault := required(i); fault != "" {
		return dst, fault
	}
	c, err := i.Body.Unpack()
	if err != nil {
		return dst, err.Error()
	}
	dst = append(dst, `{"namespace":`...)
	dst = appendString(dst, namespaceOf(i), true)
	dst = appendField(dst, "name", i.Name, true)
	dst = appendField(dst, "kind", i.Type.Kind, true)
	dst = appendAPIVersion(dst, i.Type, true)
	dst = appendPairs(dst, "labels", c.Labels, true)
	dst = appendPairs(dst, "annotations", c.Annotations, true)
	dst = appendTime(dst, "createdAt", c.CreatedAt)
	dst = appendTime(dst, "updatedAt", c.UpdatedAt)
	return append(dst, '}'), ""
}

func appendDotAIDelete(dst []byte, id resource.ID) (out []byte, fault string) {
	p, err := resource.ParseID(string(id))
	if err != nil {
		return dst, Reason(err.Error())
	}
	dst = append(dst, `{"namespace":`...)
	dst = appendString(dst, p.Namespace, true)
	dst = appendField(dst, "apiVersion", p.APIVersion, true)
	dst = appendField(dst, "kind", p.Kind, true)
	dst = appendField(dst, "name", p.Name, true)
	return append(dst, '}'), ""
}

// Classify implements [Format].
func (f dotAI) Classify(r Response, sent Sent) Outcome { return classify(f, r, sent) }

// dotAIAnswer is the envelope of all of dot-ai's answers.
type dotAIAnswer struct {
	Success bool `json:"success"`
	Data    struct {
		Upserted *int `json:"upserted"`
		Deleted  *int `json:"deleted"`
	} `json:"data"`
	Error struct {
		Code    string          `json:"code"`
		Details json.RawMessage `json:"details"`
	} `json:"error"`
	Meta json.RawMessage `json:"meta"`
}

func (dotAI) confirm(r Response, sent Sent) (kind Kind, fault string) {
	var answer dotAIAnswer
	if err := json.Unmarshal(r.Body, &answer); err != nil || answer.Data.Upserted == nil || answer.Data.Deleted == nil {
		return WrongEndpoint, "the answer has no counts, so it is not dot-ai's"
	}
	if !answer.Success {
		return WrongEndpoint, "the answer does not claim success"
	}
	return compareCounts(*answer.Data.Upserted, *answer.Data.Deleted, sent)
}

func (dotAI) badRequest(o *Outcome, r Response, sent Sent) {
	if !isJSON(r.ContentType) {
		o.Kind, o.Reason = WrongEndpoint, "not dot-ai's answer: "+excerpt(r)
		return
	}
	o.Kind, o.Reason = Unprocessable, answerText(r)
	var answer dotAIAnswer
	if json.Unmarshal(r.Body, &answer) != nil {
		return
	}
	switch answer.Error.Code {
	case "VALIDATION_ERROR":
		dotAIRefused(o, answer.Error.Details, sent)
	case "SYNC_PARTIAL_FAILURE":
		dotAIPartial(o, answer.Error.Details, sent)
	case "INVALID_REQUEST":
		o.Kind, o.Reason = WrongEndpoint, "the body was lost on the way: "+answerText(r)
	}
}

// dotAIRefused reads details such as [{"path":"upserts[1].name","message":"required string field"}].
func dotAIRefused(o *Outcome, details json.RawMessage, sent Sent) {
	var issues []json.RawMessage
	if json.Unmarshal(details, &issues) != nil {
		return
	}
	bad := newFaults(sent)
	for _, d := range issues {
		var issue struct{ Path, Message string }
		if json.Unmarshal(d, &issue) != nil {
			continue
		}
		array, rest, _ := strings.Cut(issue.Path, "[")
		number, field, _ := strings.Cut(rest, "]")
		if index, err := strconv.Atoi(number); err == nil {
			bad.add(array, index, strings.TrimPrefix(field, "."), issue.Message)
		}
	}
	bad.refuse(o)
}

// serverError: an INTERNAL_ERROR without meta comes from before the handler, which could not read the body as
// JSON.
func (dotAI) serverError(o *Outcome, r Response) {
	o.Kind, o.Reason = ServerError, answerText(r)
	var answer dotAIAnswer
	if json.Unmarshal(r.Body, &answer) == nil && answer.Error.Code == "INTERNAL_ERROR" && len(answer.Meta) == 0 {
		o.Kind, o.Reason = WrongEndpoint, "the body was not understood as JSON: "+answerText(r)
	}
}
