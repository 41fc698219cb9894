package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document is an upsert as a receiver reads it. It is written down here again, from the receivers' side, so that
// the encoder is not checked by itself.
type document struct {
	ID, Namespace, Name, Kind, APIVersion, APIGroup string
	Labels, Annotations                             map[string]string
	CreatedAt, UpdatedAt                            string
}

var instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)

// readBody takes a body apart as the strictest receiver would. It accepts exactly two arrays, exactly the named
// fields, each once and of its type, and nothing after the end.
func readBody(t testing.TB, body []byte, upsertFields []string) (upserts []document, deletes []any) {
	t.Helper()
	top := readObject(t, body, []string{"upserts", "deletes"})
	for _, raw := range readArray(t, top["upserts"]) {
		o := readObject(t, raw, upsertFields)
		d := document{
			ID: readString(t, o["id"]), Namespace: readString(t, o["namespace"]), Name: readString(t, o["name"]),
			Kind: readString(t, o["kind"]), APIVersion: readString(t, o["apiVersion"]), APIGroup: readString(t, o["apiGroup"]),
			Labels: readStrings(t, o["labels"]), Annotations: readStrings(t, o["annotations"]),
			CreatedAt: readString(t, o["createdAt"]), UpdatedAt: readString(t, o["updatedAt"]),
		}
		if !instant.MatchString(d.CreatedAt) || (d.UpdatedAt != "" && !instant.MatchString(d.UpdatedAt)) {
			t.Fatalf("times %q and %q, want whole seconds with Z", d.CreatedAt, d.UpdatedAt)
		}
		upserts = append(upserts, d)
	}
	for _, raw := range readArray(t, top["deletes"]) {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil || v == nil {
			t.Fatalf("delete %s: %v", raw, err)
		}
		deletes = append(deletes, v)
	}
	return upserts, deletes
}

// readObject reads the members of an object and fails on a repeated, missing, unknown or null one.
func readObject(t testing.TB, raw []byte, want []string) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	var keys []string
	dec := json.NewDecoder(bytes.NewReader(raw))
	expect(t, dec, json.Delim('{'))
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("reading %v: %v", key, err)
		}
		if string(value) == "null" {
			t.Fatalf("%v is null", key)
		}
		keys = append(keys, fmt.Sprint(key))
		out[fmt.Sprint(key)] = value
	}
	expect(t, dec, json.Delim('}'))
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("something follows the object: %v", err)
	}
	if want != nil {
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Fatalf("fields and their order (-want +got):\n%s", diff)
		}
	} else if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Fatalf("keys %q, want them sorted and each once", keys)
	}
	return out
}

func readArray(t testing.TB, raw []byte) (out []json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(raw, &out); err != nil || out == nil {
		t.Fatalf("%s is no array: %v", raw, err)
	}
	return out
}

func readString(t testing.TB, raw []byte) (out string) {
	t.Helper()
	if raw == nil {
		return ""
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func readStrings(t testing.TB, raw []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for k, v := range readObject(t, raw, nil) {
		out[k] = readString(t, v)
	}
	return out
}

func expect(t testing.TB, dec *json.Decoder, want json.Token) {
	t.Helper()
	if got, err := dec.Token(); err != nil || got != want {
		t.Fatalf("token %v, %v, want %v", got, err, want)
	}
}
