package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// nameLabel and releaseLabel are set on every pod by the chart and the manifests.
	nameLabel    = "app.kubernetes.io/name=k8s-vectordb-sync"
	releaseLabel = "app.kubernetes.io/instance"
	// usualNamespace is the namespace of the documentation. It is tried where the user may not list the pods of all
	// namespaces.
	usualNamespace = "k8s-vectordb-sync-system"
	// apiPortName is the name of the API's port in the container. apiPort is used where no port has that name.
	apiPortName = "api"
	apiPort     = 8082
)

// nothingFoundError says that the search found no release.
type nothingFoundError struct{ message string }

func (e *nothingFoundError) Error() string { return e.message }

// release is one installation of the controller.
type release struct {
	Namespace string `json:"namespace"`
	// Name is that of the Helm release; empty where the pods have no such label.
	Name string `json:"name"`
}

func (r release) String() string { return r.Namespace + "/" + r.Name }

// search says where to look for a release.
type search struct {
	// namespace is the only one to look in; empty means the current one and then all.
	namespace string
	// current is the namespace of the context.
	current string
	// selector is the label selector of the pods; empty means [nameLabel].
	selector string
	// release is the name that the release must have; empty means any, if there is only one.
	release string
}

// find returns one release and its pods, ordered by name. Its errors say what to do.
func (s search) find(ctx context.Context, client corev1client.PodsGetter) (release, []corev1.Pod, error) {
	pods, where, err := s.pods(ctx, client)
	if err != nil {
		return release{}, nil, err
	}
	found := make(map[release][]corev1.Pod)
	var all []release
	for _, p := range pods {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue // the pod was evicted, or the like, and has been replaced
		}
		r := release{p.Namespace, p.Labels[releaseLabel]}
		if found[r] == nil {
			all = append(all, r)
		}
		found[r] = append(found[r], p)
	}
	switch len(all) {
	case 1:
		list := found[all[0]]
		slices.SortFunc(list, func(x, y corev1.Pod) int { return strings.Compare(x.Name, y.Name) })
		return all[0], list, nil
	case 0:
		return release{}, nil, &nothingFoundError{fmt.Sprintf("no replica was found %s by the labels %s; "+
			"say where it runs with --controller-namespace, or how its pods are labelled with --selector", where, s.labels())}
	}
	slices.SortFunc(all, func(x, y release) int { return cmp.Compare(x.String(), y.String()) })
	names := make([]string, 0, len(all))
	for _, r := range all {
		names = append(names, r.String())
	}
	return release{}, nil, fmt.Errorf("%d releases were found: %s; choose one with --controller-namespace and --release",
		len(all), strings.Join(names, ", "))
}

func (s search) labels() string {
	labels := cmp.Or(s.selector, nameLabel)
	if s.release != "" {
		labels += "," + releaseLabel + "=" + s.release
	}
	return labels
}

// pods lists pods in the first place that has some, and says where it looked.
func (s search) pods(ctx context.Context, client corev1client.PodsGetter) (pods []corev1.Pod, where string, err error) {
	list := func(namespace string) ([]corev1.Pod, error) {
		answer, err := client.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: s.labels()})
		if err != nil {
			return nil, fmt.Errorf("looking for replicas: %w", err)
		}
		return answer.Items, nil
	}
	if s.namespace != "" {
		pods, err = list(s.namespace)
		return pods, "in namespace " + s.namespace, err
	}
	pods, err = list(s.current)
	if err != nil && !apierrors.IsForbidden(err) || len(pods) > 0 {
		return pods, "", err
	}
	pods, err = list(metav1.NamespaceAll)
	if !apierrors.IsForbidden(err) {
		return pods, "in any namespace", err
	}
	where = fmt.Sprintf("in namespace %s or %s (the pods of all namespaces may not be listed)", s.current, usualNamespace)
	pods, err = list(usualNamespace)
	if apierrors.IsForbidden(err) {
		return nil, where, nil
	}
	return pods, where, err
}

// podPort returns the port of a pod's API.
func podPort(p corev1.Pod) int32 {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == apiPortName {
				return port.ContainerPort
			}
		}
	}
	return apiPort
}

// podTrouble says why a pod cannot be asked, nil when it can. A pod that is not ready can be: it knows the reason
// best.
func podTrouble(p corev1.Pod) error {
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			return errors.New("its container waits: " + strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": "))
		case c.State.Terminated != nil:
			return fmt.Errorf("its container ended with code %d: %s", c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
	}
	if p.Status.Phase == corev1.PodRunning {
		return nil
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Errorf("its pod is %s: %s", p.Status.Phase, c.Message)
		}
	}
	return fmt.Errorf("its pod is %s", cmp.Or(p.Status.Phase, corev1.PodPending))
}
