package receiver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// issue is one finding of cluster-whisperer's schema validation.
type issue struct {
	Code       string `json:"code"`
	Validation string `json:"validation,omitempty"`
	Expected   string `json:"expected,omitempty"`
	Received   string `json:"received,omitempty"`
	Message    string `json:"message"`
	Path       []any  `json:"path"` // keys are strings, places in arrays are numbers
}

func invalidPayload(issues []issue) answer {
	return jsonAnswer(http.StatusBadRequest, struct {
		Error   string  `json:"error"`
		Details []issue `json:"details"`
	}{"Invalid payload", issues})
}

func wrongType(want, got string, path []any) issue {
	i := issue{Code: "invalid_type", Expected: want, Received: got, Path: path}
	if got == "undefined" {
		i.Message = "Required"
	} else {
		i.Message = "Expected " + want + ", received " + got
	}
	return i
}

// utcTime is the only form of createdAt that is accepted: UTC spelled Z, four digits of year, any fraction of seconds.
var utcTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$`)

func validCreatedAt(s string) bool {
	if !utcTime.MatchString(s) {
		return false
	}
	_, err := time.Parse("2006-01-02T15:04:05", s[:19]) // checks the ranges, and the days of the month
	return err == nil
}

func validJSON(body []byte) bool { return json.Valid(body) }

func trimSpace(body []byte) []byte { return bytes.Trim(body, " \t\r\n") }

// parseInstances validates all of a payload and reports every issue, not only the first.
func parseInstances(top object) (payload, []issue) {
	var p payload
	upserts, issues := nullableArray(top, "upserts")
	for i, raw := range upserts {
		d, found := parseInstance(raw, i)
		if issues = append(issues, found...); len(issues) > 0 {
			continue // the payload will not be used
		}
		if loneSurrogate(raw) {
			if p.upsertSurrogate == nil {
				p.upsertSurrogate = map[int]bool{}
			}
			p.upsertSurrogate[i] = true
		}
		p.upserts = append(p.upserts, d)
	}
	deletes, found := stringArray(top, "deletes")
	issues = append(issues, found...)
	p.deletes = deletes
	p.deleteSurrogate = loneSurrogate(top["deletes"])
	return p, issues
}

// nullableArray reads an array that may be absent or null.
func nullableArray(top object, key string) ([]json.RawMessage, []issue) {
	raw := top[key]
	switch t := typeOf(raw); t {
	case "undefined", "null":
		return nil, nil
	case "array":
		return decode[[]json.RawMessage](raw), nil
	default:
		return nil, []issue{wrongType("array", t, []any{key})}
	}
}

func stringArray(top object, key string) ([]string, []issue) {
	items, issues := nullableArray(top, key)
	out := make([]string, 0, len(items))
	for i, raw := range items {
		if t := typeOf(raw); t != "string" {
			issues = append(issues, wrongType("string", t, []any{key, i}))
			continue
		}
		out = append(out, decode[string](raw))
	}
	return slices.Clip(out), issues
}

func parseInstance(raw json.RawMessage, i int) (Document, []issue) {
	at := []any{"upserts", i}
	if t := typeOf(raw); t != "object" {
		return Document{}, []issue{wrongType("object", t, at)}
	}
	item := decode[object](raw)
	var issues []issue
	text := func(key string) string {
		if t := typeOf(item[key]); t != "string" {
			issues = append(issues, wrongType("string", t, append(slices.Clone(at), key)))
			return ""
		}
		return decode[string](item[key])
	}
	texts := func(key string) map[string]string {
		m, found := stringMap(item[key], append(slices.Clone(at), key))
		issues = append(issues, found...)
		return m
	}
	d := Document{
		ID: text("id"), Namespace: text("namespace"), Name: text("name"), Kind: text("kind"),
		APIVersion: text("apiVersion"), APIGroup: text("apiGroup"),
		Labels: texts("labels"), Annotations: texts("annotations"),
	}
	before := len(issues)
	d.CreatedAt = text("createdAt")
	if len(issues) == before && !validCreatedAt(d.CreatedAt) {
		issues = append(issues, issue{
			Code: "invalid_string", Validation: "datetime", Message: "Invalid datetime",
			Path: append(slices.Clone(at), "createdAt"),
		})
	}
	return d, issues
}

// stringMap reads an object of strings that may be absent or null; both mean no entries.
func stringMap(raw json.RawMessage, path []any) (map[string]string, []issue) {
	if missing(raw) {
		return nil, nil
	}
	if t := typeOf(raw); t != "object" {
		return nil, []issue{wrongType("object", t, path)}
	}
	var issues []issue
	items := decode[object](raw)
	out := make(map[string]string, len(items))
	for _, k := range sortedKeys(items) {
		if t := typeOf(items[k]); t != "string" {
			issues = append(issues, wrongType("string", t, append(slices.Clone(path), k)))
			continue
		}
		out[k] = decode[string](items[k])
	}
	if len(out) == 0 {
		return nil, issues
	}
	return out, issues
}

func sortedKeys(o object) []string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// itemPath is the way dot-ai names an item.
func itemPath(array string, i int) string { return array + "[" + strconv.Itoa(i) + "]" }
