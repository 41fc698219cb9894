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
	// lookupTimeout bounds a look at the StatefulSet, which must not hold up the renewal of a Lease.
	lookupTimeout = 2 * time.Second
	// adoptEvery is how often at most an object without an owner is looked at with a view to adoption.
	adoptEvery = time.Minute
)

// Owner is the StatefulSet to which what we write belongs. A nil *Owner gives nothing an owner. Make one with [New].
type Owner struct {
	client metadata.ResourceInterface
	name   string
	log    logr.Logger

	mu      sync.Mutex              // guards the fields below
	last    []metav1.OwnerReference // the newest that was seen, for creations after the end of the StatefulSet
	looked  time.Time               // when it was last looked up for an adoption
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

// Reference returns the StatefulSet as an owner reference, or the one that was seen last when it cannot be
// read now; none for a nil Owner and as long as none has been seen. It blocks for two seconds at most.
func (o *Owner) Reference(ctx context.Context) []metav1.OwnerReference { return o.created(ctx) }

// created returns the owners of something that is about to be created. When the StatefulSet has gone it is the one that
// was: what is created late is then collected at once, as it should be.
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

// adopted returns the owners of something that has none, nil as long as it is to stay so.
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

// lookup returns a reference to the StatefulSet, nil when there is none that will last.
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
