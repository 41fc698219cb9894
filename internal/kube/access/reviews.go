package access

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// timeout bounds one question.
const timeout = 10 * time.Second

// Reviews asks the API server about rights. Make one with [NewReviews].
type Reviews struct {
	reviews authorizationv1client.SelfSubjectAccessReviewsGetter
	client  metadata.Interface
}

// NewReviews returns a Reviews that asks for rights with reviews. Every account may do so by default, but a
// cluster can take that right away. Then Reviews tries lists with client.
func NewReviews(reviews authorizationv1client.SelfSubjectAccessReviewsGetter, client metadata.Interface) *Reviews {
	return &Reviews{reviews: reviews, client: client}
}

// MayRead tells whether a type, or a slice of it, may be listed and watched.
func (r *Reviews) MayRead(ctx context.Context, t resource.Type) (bool, error) {
	for _, verb := range []string{"list", "watch"} {
		allowed, err := r.may(ctx, authorizationv1.ResourceAttributes{
			Verb: verb, Group: t.Group, Version: t.Version, Resource: t.Resource, Namespace: t.Within,
		})
		if apierrors.IsForbidden(err) {
			return r.canList(ctx, t)
		}
		if err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

// MayReadAll tells whether all types may be listed and watched in all namespaces.
func (r *Reviews) MayReadAll(ctx context.Context) (bool, error) {
	for _, verb := range []string{"list", "watch"} {
		allowed, err := r.may(ctx, authorizationv1.ResourceAttributes{Verb: verb, Group: "*", Version: "*", Resource: "*"})
		if apierrors.IsForbidden(err) {
			return false, nil // the caller asks for each type
		}
		if err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

// MayGetNamespace tells whether a Namespace may be read by its name. A Role within it can give that right.
func (r *Reviews) MayGetNamespace(ctx context.Context, name string) (bool, error) {
	allowed, err := r.may(ctx, authorizationv1.ResourceAttributes{
		Verb: "get", Version: "v1", Resource: "namespaces", Namespace: name, Name: name,
	})
	if apierrors.IsForbidden(err) {
		return true, nil // unknown, so the caller tries
	}
	return allowed, err
}

func (r *Reviews) may(ctx context.Context, what authorizationv1.ResourceAttributes) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
	answer, err := r.reviews.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether to %s %s is allowed: %w", what.Verb, what.Resource, err)
	}
	return answer.Status.Allowed, nil
}

// canList tells whether a list of one object succeeds.
func (r *Reviews) canList(ctx context.Context, t resource.Type) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := r.client.Resource(t.GVR()).Namespace(t.Within).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("trying to list %s: %w", t, err)
	}
	return true, nil
}
