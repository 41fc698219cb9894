package receiver

import (
	"encoding/json"
	"net/http"
	"slices"
)

func contains(sorted []int, i int) bool {
	_, found := slices.BinarySearch(sorted, i)
	return found
}

// parse reads dot-ai's body, whatever its media type. An array at the top has no fields, so it asks for nothing.
func (c resourcesContract) parse(_ *http.Request, body []byte) (payload, *answer) {
	if limit := c.opts.DotAIMaxBytes; limit > 0 && int64(len(body)) > limit {
		return payload{}, new(nginxTooLarge()) // without Content-Length the proxy counts as it reads
	}
	raw := trimSpace(body)
	if len(raw) == 0 {
		return payload{}, new(dotError(http.StatusBadRequest, "INVALID_REQUEST", "Request body must be a JSON object", nil))
	}
	if !validJSON(raw) {
		return payload{}, new(dotError(http.StatusInternalServerError, "INTERNAL_ERROR", "Invalid JSON in request body", nil))
	}
	switch typeOf(raw) {
	case "object":
	case "array":
		return payload{}, nil
	default:
		return payload{}, new(dotError(http.StatusBadRequest, "INVALID_REQUEST", "Request body must be a JSON object", nil))
	}
	p, issues := parseResources(decode[object](raw))
	if len(issues) > 0 {
		return payload{}, new(dotInvalid(issues))
	}
	return p, nil
}

// parseResources validates all of a payload and reports every issue.
func parseResources(top object) (payload, []dotIssue) {
	p := payload{resync: string(top["isResync"]) == "true"} // only the boolean counts, not "true"
	upserts, issues := optionalArray(top, "upserts")
	for i, raw := range upserts {
		d, found := parseItem(raw, itemPath("upserts", i), "createdAt", "updatedAt")
		issues = append(issues, found...)
		p.upserts = append(p.upserts, d)
	}
	deletes, found := optionalArray(top, "deletes")
	issues = append(issues, found...)
	for i, raw := range deletes {
		d, found := parseItem(raw, itemPath("deletes", i))
		issues = append(issues, found...)
		p.deletes = append(p.deletes, d.ID)
	}
	return p, issues
}

// optionalArray reads an array that may be absent, but not null.
func optionalArray(top object, key string) ([]json.RawMessage, []dotIssue) {
	raw, present := top[key]
	if !present {
		return nil, nil
	}
	if typeOf(raw) != "array" {
		return nil, []dotIssue{{key, "must be an array"}}
	}
	return decode[[]json.RawMessage](raw), nil
}

// parseItem reads an upsert or a delete. It requires the four fields of the identity, and further ones by name. It
// checks only that they are not empty.
func parseItem(raw json.RawMessage, path string, required ...string) (Document, []dotIssue) {
	if typeOf(raw) != "object" {
		return Document{}, []dotIssue{{path, "must be an object"}}
	}
	item := decode[object](raw)
	var issues []dotIssue
	text := func(key string) string {
		if typeOf(item[key]) == "string" {
			if s := decode[string](item[key]); s != "" {
				return s
			}
		}
		issues = append(issues, dotIssue{path + "." + key, "required string field"})
		return ""
	}
	d := Document{Namespace: text("namespace"), Name: text("name"), Kind: text("kind"), APIVersion: text("apiVersion")}
	d.ID = pointID(d.Namespace, d.APIVersion, d.Kind, d.Name)
	if len(required) == 0 {
		return d, issues
	}
	d.CreatedAt, d.UpdatedAt = text(required[0]), text(required[1])
	if d.APIGroup = groupOf(d.APIVersion); typeOf(item["apiGroup"]) == "string" {
		d.APIGroup = decode[string](item["apiGroup"])
	}
	d.Labels, d.Annotations = looseMap(item["labels"]), looseMap(item["annotations"])
	return d, issues
}

// looseMap reads an object whose values may be of any type; a value that is no string is kept as JSON.
func looseMap(raw json.RawMessage) map[string]string {
	if typeOf(raw) != "object" {
		return nil
	}
	items := decode[object](raw)
	if len(items) == 0 {
		return nil
	}
	out := make(map[string]string, len(items))
	for k, v := range items {
		if typeOf(v) == "string" {
			out[k] = decode[string](v)
		} else {
			out[k] = string(v)
		}
	}
	return out
}
