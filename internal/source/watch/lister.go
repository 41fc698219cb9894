package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// ErrExpired says that the version of a list, or of its next page, is compacted. The earlier pages are of that
// version; a new list has another version.
var ErrExpired = errors.New("resource version has expired")

// errElsewhere means that a caller asked a slice for another namespace than its own.
var errElsewhere = errors.New("a slice of a type has nothing in another namespace")

// ListOptions of [Lister.Pages]. The zero value lists all objects in their latest state.
type ListOptions struct {
	// Namespace restricts the list to one namespace; empty means all. It must be empty for a cluster-scoped type.
	// For a slice of a type, it must be empty or the slice's namespace.
	Namespace string
	// PageSize is how many objects a request asks for; 500 when it is not positive.
	PageSize int64
	// Exact, when not 0, lists the state at exactly that resourceVersion. etcd keeps about the last 5 minutes.
	Exact uint64
	// Inexact lets a list whose version expires in the middle go on from its last page, at a later version. So even
	// a list of a million objects comes to its end, however slowly the caller takes pages. But the list does not
	// show one moment.
	Inexact bool
}

// Lister lists metadata page by page. It is safe for concurrent use and starts no goroutine.
type Lister struct {
	client     metadata.Interface
	keep       resource.Selection
	namespaces NamespaceFilter
}

// NewLister returns a Lister whose records equal those that a [Manager] with the same filters reports.
func NewLister(client metadata.Interface, keep resource.Selection, namespaces NamespaceFilter) *Lister {
	return &Lister{client: client, keep: keep, namespaces: namespaces}
}

// Pages lists a type consistently, hands each page to page, and returns the resourceVersion of the whole list.
// Without Exact the list is at least as new as every write before the call. Pages requests the next page only
// after page has returned, so a slow callback costs no memory. An API server keeps a list open for about 5
// minutes. The slice belongs to page. It is empty if all objects of a page are filtered out. page is called at
// least once, even for an empty list.
//
// An error of page ends the list and is returned wrapped. If a version has expired, at the first page or in the
// middle, the error is one for which errors.Is(err, ErrExpired) holds. Pages never silently continues a list
// from another version.
func (l *Lister) Pages(ctx context.Context, t resource.Type, opts ListOptions, page func([]resource.Record) error) (uint64, error) {
	return pages(ctx, l, t, opts, listAll, func(list *metav1.PartialObjectMetadataList) error { return page(l.records(t, list)) })
}

// State is the name and the version of an object, from [Lister.States].
type State = metadatawatch.State

// States lists as [Lister.Pages] does, at a fraction of the cost, because it makes no records. Each page comes
// with the version of the list. The next page overwrites the slice.
func (l *Lister) States(ctx context.Context, t resource.Type, page func(version uint64, states []State) error) (uint64, error) {
	return pages(ctx, l, t, ListOptions{}, l.states(new(metadatawatch.Page)), func(p *metadatawatch.Page) error {
		kept := slices.DeleteFunc(p.States, func(o State) bool { return !l.namespaces.Match(t, o.Namespace, o.Name) })
		return page(resource.ParseVersion(p.ResourceVersion), kept)
	})
}

// Objects lists as [Lister.Pages] does, and hands out unchanged metadata, selected or not. The API server still
// applies a label selector of the Lister. The version is the API server's own text, for a watch from there.
func (l *Lister) Objects(ctx context.Context, t resource.Type, opts ListOptions, page func([]metav1.PartialObjectMetadata) error) (string, error) {
	version := ""
	_, err := pages(ctx, l, t, opts, listAll, func(list *metav1.PartialObjectMetadataList) error {
		version = list.ResourceVersion
		return page(list.Items)
	})
	return version, err
}

// request requests a page.
type request[P metav1.ListInterface] func(context.Context, metadata.ResourceInterface, metav1.ListOptions) (P, error)

func listAll(ctx context.Context, of metadata.ResourceInterface, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	return of.List(ctx, opts)
}

// states returns a request for states only, if the client supports it. Every answer uses the same page.
func (l *Lister) states(page *metadatawatch.Page) request[*metadatawatch.Page] {
	return func(ctx context.Context, of metadata.ResourceInterface, opts metav1.ListOptions) (*metadatawatch.Page, error) {
		if s, ok := of.(metadatawatch.StateLister); ok {
			return page, s.ListStates(ctx, opts, l.keep, page)
		}
		return page, page.List(ctx, of, opts, l.keep)
	}
}

// pages requests one page after another.
func pages[P metav1.ListInterface](
	ctx context.Context, l *Lister, t resource.Type, opts ListOptions, ask request[P], page func(P) error,
) (uint64, error) {
	client := in(l.client, t)
	switch {
	case t.Within != "" && opts.Namespace != "" && opts.Namespace != t.Within:
		return 0, fmt.Errorf("listing %s in namespace %s: %w", t, opts.Namespace, errElsewhere)
	case opts.Namespace != "":
		client = l.client.Resource(t.GVR()).Namespace(opts.Namespace)
	}
	req := metav1.ListOptions{Limit: opts.PageSize, LabelSelector: l.keep.ServerSide()}
	if req.Limit <= 0 {
		req.Limit = 500
	}
	if opts.Exact != 0 {
		req.ResourceVersion = strconv.FormatUint(opts.Exact, 10)
		req.ResourceVersionMatch = metav1.ResourceVersionMatchExact
	}
	version := ""
	for {
		list, err := ask(ctx, client, req)
		if next := laterToken(err); opts.Inexact && next != "" {
			req.Continue, version = next, ""
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("listing %s: %w", t, expired(err))
		}
		if version != "" && list.GetResourceVersion() != version {
			return 0, fmt.Errorf("listing %s: page is of version %q and not %q: %w", t, list.GetResourceVersion(), version, ErrExpired)
		}
		version = list.GetResourceVersion()
		next := list.GetContinue()
		if err := page(list); err != nil {
			return 0, fmt.Errorf("taking a page of %s: %w", t, err)
		}
		if next == "" {
			return resource.ParseVersion(version), nil
		}
		// A continue token contains the version; the server refuses a request with both.
		req.Continue, req.ResourceVersion, req.ResourceVersionMatch = next, "", ""
	}
}

func (l *Lister) records(t resource.Type, list *metav1.PartialObjectMetadataList) []resource.Record {
	rs := make([]resource.Record, 0, len(list.Items))
	for i := range list.Items {
		o := &list.Items[i].ObjectMeta
		if !l.namespaces.Match(t, o.Namespace, o.Name) {
			continue
		}
		if r, selected := l.keep.Record(o); selected {
			rs = append(rs, r)
		}
	}
	return rs
}

// laterToken returns the token with which an expired list can go on at a later version.
func laterToken(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && apierrors.IsResourceExpired(err) {
		return status.ErrStatus.Continue
	}
	return ""
}
