package ownerref

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

const (
	// lookupTimeout bounds a lookup of the StatefulSet, which must not hold up the renewal of a Lease.
	lookupTimeout = 2 * time.Second
	// adoptEvery is the least time between two lookups for an adoption.
	adoptEvery = time.Minute
)

// Owner is the StatefulSet that owns the objects we write. A nil *Owner gives no object an owner. Make one with
// [New].
type Owner struct {
	client metadata.ResourceInterface
	name   string
	log    logr.Logger

	mu      sync.Mutex              // guards the fields below
	last    []metav1.OwnerReference // to the StatefulSet as last seen, for creations after its end
	looked  time.Time               // the last lookup for an adoption
	refused bool                    // a missing permission has been logged
}

// New returns the StatefulSet of that name, or nil for an empty one.
func New(client metadata.Interface, namespace, name string, log logr.Logger) *Owner {
	if name == "" {
		return nil
	}
	sets := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	return &Owner{client: client.Resource(sets).Namespace(namespace), name: name, log: log}
}

// Reference returns an owner reference to the StatefulSet, or to the StatefulSet as last seen when a lookup
// fails. It returns none for a nil Owner, or before the first successful lookup. It blocks for two seconds at
// most.
func (o *Owner) Reference(ctx context.Context) []metav1.OwnerReference { return o.created(ctx) }

// created returns the owners of an object that is about to be created. If the StatefulSet is gone, the reference
// is to the old one, so that Kubernetes collects a late object at once, as it should be.
func (o *Owner) created(ctx context.Context) []metav1.OwnerReference {
	if o == nil {
		return nil
	}
	refs := o.lookup(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if refs == nil {
		return o.last
	}
	return refs
}

// adopted returns the owners for an object that has none; nil if the object is to stay without.
func (o *Owner) adopted(ctx context.Context) []metav1.OwnerReference {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	early := !o.looked.IsZero() && time.Since(o.looked) < adoptEvery
	if !early {
		o.looked = time.Now()
	}
	o.mu.Unlock()
	if early {
		return nil
	}
	return o.lookup(ctx)
}

// lookup returns a reference to the StatefulSet; nil when it does not exist, is being deleted, or cannot be
// read.
func (o *Owner) lookup(ctx context.Context) []metav1.OwnerReference {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	set, err := o.client.Get(ctx, o.name, metav1.GetOptions{})
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		if apierrors.IsForbidden(err) && !o.refused {
			o.refused = true
			o.log.Info("StatefulSet may not be read: Leases and ConfigMaps will stay when it is deleted", "statefulSet", o.name, "reason", err.Error())
		}
		return nil
	}
	if set.DeletionTimestamp != nil {
		return nil
	}
	o.last = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: o.name, UID: set.UID}}
	return o.last
}
