package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
)

const (
	asDiscovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	asMetadata  = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// types are the types that an API server serves.
type types struct {
	// answers are the answers of discovery, by path, as they came.
	answers map[string]string
	// paths are the paths of all types that can be listed and watched.
	paths []string
	// groups are the names of the groups.
	groups sets.Set[string]
}

func (t types) equals(other types) bool { return maps.Equal(t.answers, other.answers) }

// listing is the objects that an API server shows, by the path of their type.
type listing map[string]sets.Set[string]

// viewer reads one API server.
type viewer struct {
	host   string
	client *http.Client
	close  func() // ends its connections
}

func newViewer(config *rest.Config) (*viewer, error) {
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true}
	ours, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &viewer{host: config.Host, client: &http.Client{Transport: ours}, close: transport.CloseIdleConnections}, nil
}

func (v *viewer) get(ctx context.Context, path, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.host+"/"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	req.Header.Set("Accept", accept)
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET /%s: %s", path, resp.Status)
	}
	return body, err
}

// types asks which types are served.
func (v *viewer) types(ctx context.Context) (types, error) {
	t := types{answers: make(map[string]string), groups: sets.New[string]()}
	for _, root := range []string{"api", "apis"} {
		body, err := v.get(ctx, root, asDiscovery)
		if err != nil {
			return types{}, err
		}
		t.answers[root] = string(body)
		var groups apidiscoveryv2.APIGroupDiscoveryList
		if err := json.Unmarshal(body, &groups); err != nil {
			return types{}, fmt.Errorf("reading /%s: %w", root, err)
		}
		t.paths = append(t.paths, watchable(root, groups.Items)...)
		for i := range groups.Items {
			t.groups.Insert(groups.Items[i].Name)
		}
	}
	return t, nil
}

// foreignSchemas names the published schemas of groups other than these. An API server publishes a schema, and takes
// it back, up to a second after it begins or ceases to serve the type. Meanwhile kubectl uses the schema.
func (v *viewer) foreignSchemas(ctx context.Context, groups sets.Set[string]) ([]string, error) {
	body, err := v.get(ctx, "openapi/v3", "application/json")
	if err != nil {
		return nil, err
	}
	var published struct{ Paths map[string]json.RawMessage }
	if err := json.Unmarshal(body, &published); err != nil {
		return nil, fmt.Errorf("reading /openapi/v3: %w", err)
	}
	var foreign []string
	for path := range published.Paths {
		if rest, ok := strings.CutPrefix(path, "apis/"); ok {
			if group, _, _ := strings.Cut(rest, "/"); !groups.Has(group) {
				foreign = append(foreign, path)
			}
		}
	}
	return foreign, nil
}

// list asks for the objects of each type. The lists are consistent: a type's watch cache has seen all earlier
// writes.
func (v *viewer) list(ctx context.Context, paths []string) (listing, error) {
	found := make([]sets.Set[string], len(paths))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, path := range paths {
		group.Go(func() (err error) {
			found[i], err = v.listOne(ctx, path)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := make(listing, len(paths))
	for i, path := range paths {
		all[path] = found[i]
	}
	return all, nil
}

// watchable returns the path of each type that can be listed and watched, in one of its versions.
func watchable(root string, groups []apidiscoveryv2.APIGroupDiscovery) []string {
	var paths []string
	for _, g := range groups {
		seen := sets.New[string]()
		for _, version := range g.Versions {
			for _, r := range version.Resources {
				if !sets.New(r.Verbs...).HasAll("list", "watch") || seen.Has(r.Resource) {
					continue
				}
				seen.Insert(r.Resource)
				path := root + "/" + version.Version + "/" + r.Resource
				if g.Name != "" {
					path = root + "/" + g.Name + "/" + version.Version + "/" + r.Resource
				}
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// listOne returns the objects of a type, each by namespace, name and UID.
func (v *viewer) listOne(ctx context.Context, path string) (sets.Set[string], error) {
	body, err := v.get(ctx, path, asMetadata)
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading /%s: %w", path, err)
	}
	found := sets.New[string]()
	for i := range list.Items {
		o := &list.Items[i]
		if o.Namespace == metav1.NamespaceSystem && strings.HasSuffix(path, "/leases") && strings.HasPrefix(o.Name, "apiserver-") {
			continue // as in beats
		}
		found.Insert(o.Namespace + "/" + o.Name + " " + string(o.UID))
	}
	return found, nil
}

// equals returns an error that names the differences of two listings.
func (l listing) equals(other listing) error {
	for _, path := range slices.Sorted(maps.Keys(other)) {
		if got, want := l[path], other[path]; !got.Equal(want) {
			return fmt.Errorf("/%s lists %q too many and lacks %q",
				path, sets.List(got.Difference(want)), sets.List(want.Difference(got)))
		}
	}
	return nil
}

// own are some objects of each controller that an API server runs, and starts when it is ready already.
var own = []string{
	"namespaces/default", "namespaces/kube-node-lease", "namespaces/kube-public", "namespaces/kube-system",
	"services/specs/default/kubernetes", "ranges/servicenodeports",
	"configmaps/kube-system/extension-apiserver-authentication",
	"configmaps/kube-system/kube-apiserver-legacy-service-account-token-tracking",
	"clusterroles/cluster-admin", "rolebindings/kube-public/system:controller:bootstrap-signer",
	"priorityclasses/system-node-critical", "prioritylevelconfigurations/catch-all", "flowschemas/catch-all",
}

// judged are the types whose objects get a condition from the API server after it has made them.
var judged = []string{
	"apis/apiregistration.k8s.io/v1/apiservices", "apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", "apis/networking.k8s.io/v1/servicecidrs",
}

// complete says which objects an API server that has just started has still to make.
func (v *viewer) complete(ctx context.Context, stored objects) error {
	for _, key := range own {
		if stored[registry+key] == nil {
			return fmt.Errorf("there is no %s yet", key)
		}
	}
	for _, path := range judged {
		body, err := v.get(ctx, path, "application/json")
		if err != nil {
			return err
		}
		var list struct {
			Items []struct {
				Metadata struct{ Name string }                  `json:"metadata"`
				Status   struct{ Conditions []json.RawMessage } `json:"status"`
			} `json:"items"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return fmt.Errorf("reading /%s: %w", path, err)
		}
		if len(list.Items) == 0 {
			return errors.New("/" + path + " is empty")
		}
		for _, o := range list.Items {
			if len(o.Status.Conditions) == 0 {
				return fmt.Errorf("/%s/%s has no condition yet", path, o.Metadata.Name)
			}
		}
	}
	return nil
}
