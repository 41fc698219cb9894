package ownerref

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// ConfigMaps returns a client like the given one, whose ConfigMaps belong to the owner.
func ConfigMaps(client corev1client.ConfigMapsGetter, owner *Owner) corev1client.ConfigMapsGetter {
	return configMapsGetter{client, owner}
}

// Leases returns a client like the given one, whose Leases belong to the owner.
func Leases(client coordinationv1client.LeasesGetter, owner *Owner) coordinationv1client.LeasesGetter {
	return leasesGetter{client, owner}
}

type configMapsGetter struct {
	client corev1client.ConfigMapsGetter
	owner  *Owner
}

// ConfigMaps implements [corev1client.ConfigMapsGetter].
func (g configMapsGetter) ConfigMaps(namespace string) corev1client.ConfigMapInterface {
	return configMaps{g.client.ConfigMaps(namespace), g.owner}
}

type configMaps struct {
	corev1client.ConfigMapInterface
	owner *Owner
}

// Create creates a ConfigMap that belongs to the owner.
func (c configMaps) Create(ctx context.Context, m *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	m.OwnerReferences = c.owner.created(ctx)
	return c.ConfigMapInterface.Create(ctx, m, o)
}

// Update changes a ConfigMap, and adopts it where it has no owner.
func (c configMaps) Update(ctx context.Context, m *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	if len(m.OwnerReferences) == 0 {
		m.OwnerReferences = c.owner.adopted(ctx)
	}
	return c.ConfigMapInterface.Update(ctx, m, o)
}

type leasesGetter struct {
	client coordinationv1client.LeasesGetter
	owner  *Owner
}

// Leases implements [coordinationv1client.LeasesGetter].
func (g leasesGetter) Leases(namespace string) coordinationv1client.LeaseInterface {
	return leases{g.client.Leases(namespace), g.owner}
}

type leases struct {
	coordinationv1client.LeaseInterface
	owner *Owner
}

// Create creates a Lease that belongs to the owner.
func (c leases) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	l.OwnerReferences = c.owner.created(ctx)
	return c.LeaseInterface.Create(ctx, l, o)
}

// Update changes a Lease, and adopts it where it has no owner.
func (c leases) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if len(l.OwnerReferences) == 0 {
		l.OwnerReferences = c.owner.adopted(ctx)
	}
	return c.LeaseInterface.Update(ctx, l, o)
}
