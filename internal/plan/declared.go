package plan

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
)

// declaredResource is the name for ResourceSyncConfigs that cannot be read.
const declaredResource = "resourcesyncconfigs.dot-ai.devopstoolkit.live"

// Declared is a ResourceSyncConfig that names a receiver.
type Declared v1alpha1.ResourceSyncConfig

func (o *Declared) name() string { return o.Namespace + "." + o.Name }

// receiver returns the receiver that the object declares, as the controller would serve it.
func (o *Declared) receiver(shorts map[string][]string) (Receiver, error) {
	t, err := controller.TargetOf((*v1alpha1.ResourceSyncConfig)(o))
	if err != nil {
		return Receiver{}, err // The error names each field.
	}
	types := t.Types.WithShortNames(shorts)
	t.Selection.Types = types
	return Receiver{
		Name: t.Name, Format: t.Format, Debounce: t.Debounce, MaxWait: t.MaxWait(),
		View: &View{Types: types, Namespaces: t.Namespaces, Selection: t.Selection},
	}, nil
}

// declaredIn lists the ResourceSyncConfigs of the cluster. If their definition is not installed, there are none.
func declaredIn(ctx context.Context, restConfig *rest.Config) ([]Declared, error) {
	client, err := dynamic.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client of ResourceSyncConfigs: %w", err)
	}
	list, err := client.Resource(v1alpha1.GroupVersion.WithResource("resourcesyncconfigs")).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing ResourceSyncConfigs: %w", err)
	}
	objects := make([]Declared, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &objects[i]); err != nil {
			return nil, fmt.Errorf("reading ResourceSyncConfig %s in %s: %w", list.Items[i].GetName(), list.Items[i].GetNamespace(), err)
		}
	}
	return objects, nil
}

// overlaid returns the present objects, in which further ones replace those of the same name.
func overlaid(present, further []Declared) []Declared {
	kept := slices.DeleteFunc(slices.Clone(present), func(o Declared) bool {
		return slices.ContainsFunc(further, func(f Declared) bool { return f.name() == o.name() })
	})
	return append(kept, further...)
}
