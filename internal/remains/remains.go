package remains

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

// Heir is the StatefulSet to which what we write belongs. A nil *Heir gives nothing an owner. Make one with [NewHeir].
type Heir struct {
	client metadata.ResourceInterface
	name   string
	log    logr.Logger

	mu      sync.Mutex              // guards what follows
	last    []metav1.OwnerReference // the newest that was seen, for creations after the end of the StatefulSet
	looked  time.Time               // when it was last looked up for an adoption
	refused bool                    // a missing permission has been logged
}

// NewHeir returns the StatefulSet of that name, or nil for an empty one.
func NewHeir(client metadata.Interface, namespace, name string, log logr.Logger) *Heir {
	if name == "" {
		return nil
	}
	sets := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	return &Heir{client: client.Resource(sets).Namespace(namespace), name: name, log: log}
}

// Reference returns the StatefulSet as an owner reference, or the one that was seen last when it cannot be
// read now; none for a nil Heir and as long as none has been seen. It blocks for two seconds at most.
func (h *Heir) Reference(ctx context.Context) []metav1.OwnerReference { return h.created(ctx) }

// created returns the owners of something that is about to be created. When the StatefulSet has gone it is the one that
// was: what is created late is then collected at once, as it should be.
func (h *Heir) created(ctx context.Context) []metav1.OwnerReference {
	if h == nil {
		return nil
	}
	refs := h.lookup(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if refs == nil {
		return h.last
	}
	return refs
}

// adopted returns the owners of something that has none, nil as long as it is to stay so.
func (h *Heir) adopted(ctx context.Context) []metav1.OwnerReference {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	early := !h.looked.IsZero() && time.Since(h.looked) < adoptEvery
	if !early {
		h.looked = time.Now()
	}
	h.mu.Unlock()
	if early {
		return nil
	}
	return h.lookup(ctx)
}

// lookup returns a reference to the StatefulSet, nil when there is none that will last.
func (h *Heir) lookup(ctx context.Context) []metav1.OwnerReference {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	set, err := h.client.Get(ctx, h.name, metav1.GetOptions{})
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if apierrors.IsForbidden(err) && !h.refused {
			h.refused = true
			h.log.Info("StatefulSet may not be read: Leases and ConfigMaps will stay when it is deleted", "statefulSet", h.name, "reason", err.Error())
		}
		return nil
	}
	if set.DeletionTimestamp != nil {
		return nil
	}
	h.last = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: h.name, UID: set.UID}}
	return h.last
}
