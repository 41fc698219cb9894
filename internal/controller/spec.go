package controller

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

const (
	// exampleEndpoint is the endpoint that messages give as an example.
	exampleEndpoint = "http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync"

	// These are the defaults of the schema, for objects that were written before the schema had them.
	defaultFormat        = "dot-ai"
	defaultDebounce      = 10
	defaultResyncMinutes = 60
)

// nameOf is the name of an object's target.
func nameOf(namespace, name string) string { return namespace + "." + name }

// TargetOf makes a target, without its Token, of an object. The error names every field that is wrong and says
// which value would be right. The API server refuses most of these mistakes as well, but an older
// CustomResourceDefinition may have let objects with them through.
func TargetOf(o *v1alpha1.ResourceSyncConfig) (Target, error) {
	if o.Namespace == "" {
		return Target{}, errors.New("the object is in no namespace, where its Secret would have to be: the CustomResourceDefinition that is " +
			"installed is one of scope Cluster; replace it by a newer one, and create the object in the Secret's namespace")
	}
	s := &o.Spec
	t := Target{Name: nameOf(o.Namespace, o.Name), Namespace: o.Namespace, Object: o.Name, UID: o.UID, Generation: o.Generation}
	var p problems
	t.Endpoint = field(&p, "mcpEndpoint", s.McpEndpoint, parseEndpoint)
	field(&p, "mcpAuthSecretRef", s.McpAuthSecretRef, parseRef)
	t.Debounce = time.Second * time.Duration(p.number("debounceWindowSeconds", s.DebounceWindowSeconds, defaultDebounce, 300, "seconds"))
	t.ResyncInterval = time.Minute * time.Duration(p.number("resyncIntervalMinutes", s.ResyncIntervalMinutes, defaultResyncMinutes, 1440, "minutes"))
	t.Format = field(&p, "format", s.Format, parseFormat)
	var suits wire.Defaults
	if t.Format != nil {
		suits = t.Format.Defaults()
	}
	t.MaxUpserts = p.number("batchMaxSize", s.BatchMaxSize, suits.MaxUpserts, 1000, "resources")
	t.MaxInFlight = p.number("maxInFlight", s.MaxInFlight, suits.MaxInFlight, 100, "requests")
	t.CABundle = field(&p, "caBundle", s.CABundle, parseBundle)
	if len(s.CABundle) > 0 && t.Endpoint != nil && t.Endpoint.Scheme != "https" {
		p.add("caBundle", errors.New("is of use with an https endpoint only: begin mcpEndpoint with https:// or leave caBundle out"))
	}
	p.filters(&t, s)
	return t, errors.Join(p...)
}

// filters parses the fields that decide which objects are sent.
func (p *problems) filters(t *Target, s *v1alpha1.ResourceSyncConfigSpec) {
	exclude := s.ExcludeResourceTypes
	if exclude == nil {
		exclude = resource.DefaultExcludes()
	}
	var err error
	t.Types, err = resource.NewFilter(s.WatchResourceTypes, exclude)
	p.add("watchResourceTypes and spec.excludeResourceTypes", err)
	t.Namespaces.Include = field(p, "watchNamespaces", s.WatchNamespaces, parseNamespaces)
	t.Namespaces.Exclude = field(p, "excludeNamespaces", s.ExcludeNamespaces, parseNamespaces)
	excluded := func(namespace string) bool { return slices.Contains(s.ExcludeNamespaces, namespace) }
	if i := slices.IndexFunc(s.WatchNamespaces, excluded); i >= 0 {
		p.add("watchNamespaces", fmt.Errorf("and spec.excludeNamespaces both name %q: leave it out of one of the two", s.WatchNamespaces[i]))
	}
	include := s.AnnotationInclude
	if include == nil {
		include = resource.DefaultAnnotations()
	}
	t.Selection.Annotations, err = resource.NewAnnotationFilter(include, s.AnnotationExclude)
	p.add("annotationInclude and spec.annotationExclude", err)
	t.Selection.Labels, err = resource.NewLabelFilter(s.LabelInclude, s.LabelExclude)
	p.add("labelInclude and spec.labelExclude", err)
	t.Selection.Selector = field(p, "watchLabelSelector", s.WatchLabelSelector, parseSelector)
	t.Selection.OptOutValue = field(p, "optOutValue", s.OptOutValue, parseWord)
	t.Selection.Extra = field(p, "extraLabels", s.ExtraLabels, parseLabels)
	t.Selection.SkipControlled, t.Selection.Types = s.SkipControlled, t.Types
}

// problems are the fields that are wrong, each with what would be right.
type problems []error

func (p *problems) add(name string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("spec.%s %w", name, err))
	}
}

// field parses one field, and returns the zero value if it is wrong.
func field[T, V any](p *problems, name string, value T, parse func(T) (V, error)) V {
	v, err := parse(value)
	p.add(name, err)
	return v
}

// number checks a number that begins at 1; 0 means that the field is not set.
func (p *problems) number(name string, value int32, unset, most int, unit string) int {
	if value < 0 || int(value) > most {
		p.add(name, fmt.Errorf("is %d, want 1 to %d %s", value, most, unit))
	}
	if value == 0 {
		return unset
	}
	return int(value)
}

func parseEndpoint(value string) (*url.URL, error) {
	if value == "" {
		return nil, errors.New("is missing, want the receiver's full URL such as " + exampleEndpoint)
	}
	u, err := url.Parse(value)
	if err != nil { // The error may quote a password.
		return nil, errors.New("is not a URL, want one such as " + exampleEndpoint)
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.User != nil:
		return nil, errors.New("has a user or password, which belong into the Secret that spec.mcpAuthSecretRef names")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q has no scheme http or https, want a full URL such as %s", value, exampleEndpoint)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host, want a full URL such as %s", value, exampleEndpoint)
	case u.Port() != "" && (portErr != nil || port == 0):
		return nil, fmt.Errorf("%q has a port that is none, want 1 to 65535", value)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(value, "#"):
		return nil, errors.New("has a query or a fragment, want a URL that ends with its path, such as " + exampleEndpoint)
	}
	return u, nil
}

func parseFormat(value string) (wire.Format, error) {
	if value == "" {
		value = defaultFormat
	}
	f, err := wire.FormatOf(value)
	if err != nil {
		return nil, fmt.Errorf("is %q, want dot-ai or cluster-whisperer", value)
	}
	return f, nil
}

func parseRef(ref v1alpha1.SecretReference) (v1alpha1.SecretReference, error) {
	switch {
	case ref.Name == "":
		return ref, errors.New("names no Secret, want name and key of the one that holds the token, in the namespace of this object")
	case len(validation.IsDNS1123Subdomain(ref.Name)) > 0:
		return ref, fmt.Errorf("has the name %q, which no Secret can have, want one such as mcp-credentials", ref.Name)
	case ref.Key == "":
		return ref, fmt.Errorf("names no key, want the one of Secret %s that holds the token, such as api-key", ref.Name)
	case len(validation.IsConfigMapKey(ref.Key)) > 0:
		return ref, fmt.Errorf("has the key %q, which no Secret can have, want one such as api-key", ref.Key)
	}
	return ref, nil
}

func parseNamespaces(names []string) ([]string, error) {
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return nil, fmt.Errorf("has %q, which is no namespace, want names such as shop", name)
		}
	}
	return slices.Clone(names), nil
}

func parseSelector(text string) (labels.Selector, error) {
	s, err := resource.ParseSelector(text)
	if err != nil {
		return nil, fmt.Errorf("is %q, want a label selector such as team=shop,tier!=test", text)
	}
	return s, nil
}

func parseWord(word string) (string, error) {
	if _, err := strconv.ParseBool(word); err == nil {
		return "", fmt.Errorf("is %q, which stands for every receiver, want a word such as search", word)
	}
	if strings.ContainsAny(word, ", ") {
		return "", fmt.Errorf("is %q, want one word such as search", word)
	}
	return word, nil
}

func parseLabels(extra map[string]string) (map[string]string, error) {
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(extra[key])) > 0 {
			return nil, fmt.Errorf("has %s=%s, which no label can be, want labels such as cluster: prod-eu", key, extra[key])
		}
	}
	return maps.Clone(extra), nil
}

func parseBundle(bundle []byte) ([]byte, error) {
	if len(bundle) == 0 {
		return nil, nil
	}
	for rest, n := bundle, 0; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if n == 0 {
				return nil, errors.New("holds no certificate, want PEM that begins with -----BEGIN CERTIFICATE-----, in base64 once")
			}
			return slices.Clone(bundle), nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s, want certificates alone", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("holds a certificate that cannot be read, its number %d: %w", n+1, err)
		}
	}
}

// sameReceiver returns a text that is equal for two targets that would send the same to the same receiver. Two such
// targets would pay for each object twice, and overtake one another.
func sameReceiver(t Target, s *v1alpha1.ResourceSyncConfigSpec) string {
	return strings.Join([]string{
		t.Endpoint.String(), t.Format.Name(), t.Types.String(), strings.Join(s.WatchNamespaces, ","), strings.Join(s.ExcludeNamespaces, ","),
		t.Selection.ServerSide(), t.Selection.OptOutValue, strconv.FormatBool(t.Selection.SkipControlled),
	}, "\n")
}
