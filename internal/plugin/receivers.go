package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// receiverLabel is set by the chart on the Service and the pods of the reference receiver.
	receiverLabel = "app.kubernetes.io/component=receiver"
	// receiverName is the name in the chart. Other programs have receivers as well.
	receiverName = "k8s-vectordb-sync-receiver"
	// receiverPortName is the port of the Service to which the questions go.
	receiverPortName = "http"
)

// receiver returns the reference receiver, by its URL or by its Service in the cluster. The caller closes it.
func (c *connection) receiver(ctx context.Context, address string) (*replica, error) {
	if address != "" {
		r, err := newDirect(address, "")
		if err != nil {
			return nil, fmt.Errorf("--receiver-url: %w", err)
		}
		return r, nil
	}
	config, client, err := c.kubernetes()
	if err != nil {
		return nil, err
	}
	current, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	service, err := c.receiverService(ctx, client, current)
	if err != nil {
		return nil, err
	}
	pod, err := podBehind(ctx, client, service)
	if err != nil {
		return nil, err
	}
	port := servicePort(service, pod)
	return forwarded(pod, "", func(ctx context.Context) (*tunnel, error) {
		dialer, err := newDialer(config, client, pod.Namespace, pod.Name)
		if err != nil {
			return nil, err
		}
		return openTunnel(ctx, dialer, port)
	}), nil
}

// receiverService finds the Service in the namespace of the controller if a flag names it. Else it looks in the
// current namespace, in all, and in the usual one.
func (c *connection) receiverService(ctx context.Context, client corev1client.ServicesGetter, current string) (*corev1.Service, error) {
	selector := receiverLabel
	if c.release != "" {
		selector += "," + releaseLabel + "=" + c.release
	}
	places := []string{current, metav1.NamespaceAll, usualNamespace}
	if c.namespace != "" {
		places = []string{c.namespace}
	}
	var refused error
	for _, namespace := range places {
		list, err := client.Services(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if apierrors.IsForbidden(err) {
			refused = err
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the receiver: %w", err)
		}
		switch found := receivers(list.Items); len(found) {
		case 0:
		case 1:
			return &found[0], nil
		default:
			names := make([]string, 0, len(found))
			for _, s := range found {
				names = append(names, s.Namespace+"/"+s.Name)
			}
			slices.Sort(names)
			return nil, fmt.Errorf("%d receivers were found: %s; choose one with --controller-namespace and --release",
				len(found), strings.Join(names, ", "))
		}
	}
	return nil, errors.Join(fmt.Errorf("no Service of the reference receiver was found by the labels %s; install the chart with "+
		"receiver.enabled=true, or say where one is with --receiver-url (docs/asking.md has how to ask other receivers)", selector), refused)
}

// receivers leaves out Services without our port. If one has the chart's name, it leaves out all others.
func receivers(services []corev1.Service) []corev1.Service {
	services = slices.DeleteFunc(services, func(s corev1.Service) bool {
		return !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == receiverPortName })
	})
	var ours []corev1.Service
	for _, s := range services {
		if s.Labels["app.kubernetes.io/name"] == receiverName {
			ours = append(ours, s)
		}
	}
	if len(ours) > 0 {
		return ours
	}
	return services
}

// podBehind returns a pod of a Service, a ready one if there is any.
func podBehind(ctx context.Context, client corev1client.PodsGetter, s *corev1.Service) (corev1.Pod, error) {
	if len(s.Spec.Selector) == 0 {
		return corev1.Pod{}, fmt.Errorf("the Service %s/%s selects no pods; say where the receiver is with --receiver-url", s.Namespace, s.Name)
	}
	list, err := client.Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set(s.Spec.Selector).String()})
	if err != nil {
		return corev1.Pod{}, fmt.Errorf("looking for the receiver's pod: %w", err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	if len(pods) == 0 {
		return corev1.Pod{}, fmt.Errorf("the Service %s/%s has no pod", s.Namespace, s.Name)
	}
	if i := slices.IndexFunc(pods, ready); i >= 0 {
		return pods[i], nil
	}
	return pods[0], nil
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// servicePort returns the port of a pod to which the Service leads.
func servicePort(s *corev1.Service, pod corev1.Pod) int32 {
	for _, p := range s.Spec.Ports {
		if p.Name != receiverPortName {
			continue
		}
		if p.TargetPort.Type == intstr.Int {
			if p.TargetPort.IntVal != 0 {
				return p.TargetPort.IntVal
			}
			return p.Port
		}
		for _, c := range pod.Spec.Containers {
			for _, port := range c.Ports {
				if port.Name == p.TargetPort.StrVal {
					return port.ContainerPort
				}
			}
		}
		return p.Port
	}
	return 0
}
