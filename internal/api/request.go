package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// maxBody is far above the few hundred bytes that a request takes.
	maxBody = 64 << 10
	// maxWait bounds timeout: most proxies cut a connection that lives longer anyway.
	maxWait = time.Hour
)

// fields are the names that a resync request may have, in its query or its body.
var fields = []string{"scope", "resource", "namespace", "force", "wait", "timeout"}

// verifyFields are the names that a request to verify may have.
var verifyFields = []string{"resource", "wait", "timeout"}

var (
	// With a namespace behind it, the name means the objects of the type in that namespace: pods.v1@team-a.
	resourceName  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(@[a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`)
	namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// call is a parsed POST /api/v1/resync or /api/v1/verify.
type call struct {
	Request
	wait    bool
	timeout time.Duration // how long to wait at most; meaningless without wait
}

// parseCall reads the query and the body of a request. Its error is a [*BadRequestError] that names every mistake
// at once, a [*mediaTypeError], or the error of reading the body. A field that the request does not set stays as it
// is in defaults. Only the names in fields may occur.
//
// A misspelt or empty field is refused and never skipped. Otherwise "namespce=shop", or a variable that a script
// did not set, would send the whole cluster.
func parseCall(r *http.Request, defaults call, fields []string) (call, error) {
	v := values{fields: fields, text: make(map[string]string)}
	v.query(r.URL.RawQuery)
	if err := v.body(r); err != nil {
		return call{}, err
	}
	c := defaults
	for _, name := range fields { // in this order, so that messages are the same each time
		if text, ok := v.text[name]; ok {
			v.set(&c, name, text)
		}
	}
	if _, given := v.text["timeout"]; given && !c.wait {
		v.wrong(nil, "timeout bounds the wait and means nothing with wait=false; leave one of them out")
	}
	if len(v.problems) > 0 {
		return call{}, &BadRequestError{Message: strings.Join(v.problems, "; "), Suggestions: v.suggestions}
	}
	return c, nil
}

// values collects the fields of a request, and the mistakes in it.
type values struct {
	fields      []string // the names that may occur
	text        map[string]string
	problems    []string
	suggestions []string
}

func (v *values) wrong(suggestions []string, format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
	v.suggestions = append(v.suggestions, suggestions...)
}

// add takes one name and its value; where says whether they are of the query or the body.
func (v *values) add(where, name, text string) {
	if !slices.Contains(v.fields, name) {
		v.wrong(Nearest(name, v.fields), "unknown %s %s, want one of %s", where, quote(name), strings.Join(v.fields, ", "))
		return
	}
	if old, twice := v.text[name]; twice && old != text {
		v.wrong(nil, "%s is given twice, as %s and as %s; give it once", name, quote(old), quote(text))
		return
	}
	v.text[name] = text
}

func (v *values) query(raw string) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		v.wrong(nil, "malformed query: %v", err)
		return
	}
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, text := range q[name] {
			v.add("parameter", name, text)
		}
	}
}

// body reads a JSON object of scalars; no body at all is fine.
func (v *values) body(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return nil
	}
	if err := checkMediaType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	if err := v.object(raw); err != nil {
		v.wrong(nil, `the body must be one JSON object such as {"resource":"deployments.apps"}: %v`, err)
	}
	return nil
}

func (v *values) object(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return errors.New("it is none")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return err
		}
		switch value.(type) {
		case nil: // as if the field were absent
		case string, bool, json.Number:
			v.add("field", fmt.Sprint(name), fmt.Sprint(value))
		default:
			v.wrong(nil, "%s must be a string or a boolean", quote(fmt.Sprint(name)))
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return err
	}
	if d.More() {
		return errors.New("something follows it")
	}
	return nil
}

// set interprets one value.
func (v *values) set(c *call, name, text string) {
	if text == "" {
		v.wrong(nil, "%s is empty; leave it out to mean its default", name)
		return
	}
	switch name {
	case "scope":
		c.Scope = Scope(text)
		if scopes := []string{string(ScopeFleet), string(ScopeReplica)}; !slices.Contains(scopes, text) {
			v.wrong(Nearest(text, scopes), "scope %s is unknown, want fleet or replica", quote(text))
		}
	case "resource":
		c.Resource = strings.ToLower(text)
		if len(text) > 253 || !resourceName.MatchString(c.Resource) {
			v.wrong(nil, "resource %s is no name of a resource, want one such as deployments, deployments.apps or deployments.v1.apps", quote(text))
		}
	case "namespace":
		c.Namespace = text
		if text != resource.ClusterNamespace && (len(text) > 63 || !namespaceName.MatchString(text)) {
			v.wrong(nil, "namespace %s is no name of a namespace, want one such as default, or %s for cluster-scoped objects", quote(text), resource.ClusterNamespace)
		}
	case "force":
		c.Force = v.boolean(name, text)
	case "wait":
		c.wait = v.boolean(name, text)
	case "timeout":
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > maxWait {
			v.wrong(nil, "timeout %s is not in range, want a duration above 0s and up to 1h, such as 90s or 10m", quote(text))
		}
		c.timeout = d
	}
}

func (v *values) boolean(name, text string) bool {
	if text != "true" && text != "false" {
		v.wrong(nil, "%s is %s, want true or false", name, quote(text))
	}
	return text == "true"
}

// quote makes a text of a client safe and short enough for an answer.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

// mediaTypeError says that the API does not read bodies of that type. The API answers 415.
type mediaTypeError struct{ got string }

func (e *mediaTypeError) Error() string {
	return fmt.Sprintf("the body is of type %s, want application/json", quote(e.got))
}

// checkMediaType accepts JSON by its names, no name, and the type that "curl -d" sends unless it is given one.
func checkMediaType(header string) error {
	if header == "" {
		return nil
	}
	t, _, err := mime.ParseMediaType(header)
	if err != nil || t != "application/json" && t != "application/x-www-form-urlencoded" && t != "text/plain" {
		return &mediaTypeError{got: header}
	}
	return nil
}
