package workload

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Filter says which objects a receiver should hold. The zero Filter is the product's default: all types except
// events, leases and endpointslices, all namespaces, and annotations that are descriptions.
type Filter struct {
	// Types tells whether objects of a type are held. Nil means the default.
	Types func(resource.Type) bool
	// Namespaces tells whether objects of a namespace are held; for a cluster-scoped object the argument is empty. Nil
	// means all.
	Namespaces func(string) bool
	// Annotations tells whether an annotation is kept. Nil means those called description, with or without a prefix.
	Annotations func(string) bool
}

// lastApplied is the annotation in which kubectl repeats the whole object, secrets too. No filter keeps it.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// DefaultTypes is the product's default: all types except those that change all the time and carry no meaning.
func DefaultTypes(t resource.Type) bool {
	return !slices.Contains([]string{"events", "leases", "endpointslices"}, t.Resource)
}

// List reads the whole API server and returns the documents that a receiver must hold, by ID. It fails when it
// cannot read a type. Each type is one consistent list. Time passes between types, so the result is exact only
// without changes.
func List(ctx context.Context, config *rest.Config, filter Filter) (map[resource.ID]Doc, error) {
	if filter.Types == nil {
		filter.Types = DefaultTypes
	}
	served, err := Types(config)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // listing a deprecated type is no mistake
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	var mu sync.Mutex
	want := make(map[resource.ID]Doc)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, t := range served {
		if !filter.Types(t) {
			continue
		}
		group.Go(func() error {
			list, err := client.Resource(t.GVR()).List(ctx, metav1.ListOptions{})
			if err != nil {
				return fmt.Errorf("listing %s: %w", t, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range list.Items {
				o := &list.Items[i].ObjectMeta
				if filter.Namespaces == nil || filter.Namespaces(o.Namespace) {
					want[t.ID(o.Namespace, o.Name)] = filter.doc(o)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return want, nil
}

// Types returns every type that can be listed and watched, at the version that the API server prefers, in order.
func Types(config *rest.Config) ([]resource.Type, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("discovering types: %w", err)
	}
	var types []resource.Type
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discovering types: %w", err)
		}
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
				types = append(types, resource.Type{
					Group: gv.Group, Version: gv.Version, Resource: r.Name, Kind: r.Kind, Namespaced: r.Namespaced,
				})
			}
		}
	}
	slices.SortFunc(types, resource.CompareTypes)
	return types, nil
}

func (f Filter) doc(o *metav1.ObjectMeta) Doc {
	keep := f.Annotations
	if keep == nil {
		keep = isDescription
	}
	d := Doc{Labels: o.Labels, CreatedAt: o.CreationTimestamp.UTC().Format(time.RFC3339)}
	for k, v := range o.Annotations {
		if k != lastApplied && keep(k) {
			if d.Annotations == nil {
				d.Annotations = make(map[string]string)
			}
			d.Annotations[k] = cut(v)
		}
	}
	return d
}

func isDescription(key string) bool {
	return key == "description" || strings.HasSuffix(key, "/description")
}

// cut shortens a value to the whole characters in its first KiB, one character after another. That is slow, and
// differs from the product's way.
func cut(v string) string {
	if len(v) <= 1024 {
		return v
	}
	end := 0
	for end < len(v) {
		_, size := utf8.DecodeRuneInString(v[end:])
		if end+size > 1024 {
			break
		}
		end += size
	}
	return v[:end]
}
