package metadatawatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// acceptLists has lists come as metadata. Of an API that knows no metadata client-go's own request is made.
const acceptLists = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// The numbers of the fields of a list, and of metadata.
const (
	listMeta, listItems                 = 1, 2 // PartialObjectMetadataList
	metaName, metaNamespace             = 1, 3
	metaVersion, metaLabels, metaOwners = 6, 11, 13
)

// StateLister is a type that can be listed by the states of its objects.
type StateLister interface {
	// ListStates returns a list in which objects have what tells whether they are selected, and in which state they
	// are: name, namespace, version, labels, annotations and owners. All else costs a request most of its
	// processor time, and nobody who compares states asks for it. Page is what an answer is read into, for one call
	// after another; the list does not refer to it.
	ListStates(ctx context.Context, opts metav1.ListOptions, page *bytes.Buffer) (*metav1.PartialObjectMetadataList, error)
}

var (
	_ StateLister = (*getter)(nil)
	_ StateLister = (*one)(nil)
)

// ListStates implements [StateLister].
func (a all) ListStates(ctx context.Context, opts metav1.ListOptions, page *bytes.Buffer) (*metav1.PartialObjectMetadataList, error) {
	if list, err := a.client.states(ctx, a.gvr, "", opts, page); !errors.Is(err, errNoStates) {
		return list, err
	}
	return a.List(ctx, opts)
}

// ListStates implements [StateLister].
func (o *one) ListStates(ctx context.Context, opts metav1.ListOptions, page *bytes.Buffer) (*metav1.PartialObjectMetadataList, error) {
	if list, err := o.client.states(ctx, o.gvr, o.namespace, opts, page); !errors.Is(err, errNoStates) {
		return list, err
	}
	return o.List(ctx, opts)
}

// errNoStates is an answer that client-go's decoders have to see.
var errNoStates = errors.New("it is no list of metadata")

// maxPage bounds an answer: 500 objects of 1.5 MiB, which etcd takes at most.
const maxPage = 800 << 20

// states asks for a list. Unlike a watch it is compressed: to unpack it costs less than to decrypt ten times as much.
func (c *client) states(ctx context.Context, gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions, page *bytes.Buffer,
) (*metav1.PartialObjectMetadataList, error) {
	body, err := c.lists.Get().AbsPath(segments(gvr, namespace)...).
		SetHeader("Accept", acceptLists).SetHeader("User-Agent", c.agent).
		SpecificallyVersionedParams(&opts, parameters, optionsV1).Stream(ctx)
	if err != nil {
		return nil, err // As client-go says it.
	}
	defer body.Close()
	page.Reset()
	if _, err := page.ReadFrom(io.LimitReader(body, maxPage)); err != nil {
		return nil, fmt.Errorf("reading a list: %w", err)
	}
	if bytes.HasPrefix(page.Bytes(), []byte("{")) {
		list := new(metav1.PartialObjectMetadataList)
		if json.Unmarshal(page.Bytes(), list) != nil || list.Kind != "PartialObjectMetadataList" {
			return nil, errNoStates
		}
		return list, nil
	}
	list, ok := decodeStates(page.Bytes())
	if !ok {
		return nil, errNoStates
	}
	return list, nil
}

// decodeStates decodes a list that comes as metadata, without what a state does not need. The answer is changed, and
// not referred to later.
func decodeStates(answer []byte) (*metav1.PartialObjectMetadataList, bool) {
	raw, ok := partial(answer, "PartialObjectMetadataList")
	items := 0
	ok = ok && each(raw, func(n protowire.Number, _, _ []byte) {
		if n == listItems {
			items++
		}
	})
	list, good := &metav1.PartialObjectMetadataList{Items: make([]metav1.PartialObjectMetadata, 0, items)}, true
	ok = ok && each(raw, func(n protowire.Number, value, _ []byte) {
		switch n {
		case listMeta:
			good = good && list.ListMeta.Unmarshal(value) == nil
		case listItems:
			state, ok := stateOf(value)
			list.Items = append(list.Items, metav1.PartialObjectMetadata{})
			good = good && ok && list.Items[len(list.Items)-1].ObjectMeta.Unmarshal(state) == nil
		default: // there is no other
		}
	})
	return list, ok && good
}

// stateOf returns what a state needs of an object, in the object's own memory.
func stateOf(object []byte) (state []byte, ok bool) {
	var meta []byte
	once := true // what comes twice is merged, which is for client-go
	ok = each(object, func(n protowire.Number, value, _ []byte) {
		if n == partialMetadata {
			once, meta = once && meta == nil, value
		}
	})
	ok, state = ok && once, meta[:0]
	ok = ok && each(meta, func(n protowire.Number, value, whole []byte) {
		switch n {
		case metaName, metaNamespace, metaVersion, metaLabels, metaOwners:
			state = append(state, whole...) // never beyond what has been read
		case metaAnnotations:
			if string(first(value)) != resource.LastApplied {
				state = append(state, whole...)
			}
		default: // no state depends on it
		}
	})
	return state, ok
}
