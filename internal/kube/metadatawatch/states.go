package metadatawatch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// acceptLists has lists come as metadata. Of an API that knows no metadata client-go's own request is made.
const acceptLists = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// State is which object it is, and in which state.
type State struct {
	Namespace, Name string
	// Version is 0 when the server's is no number.
	Version uint64
}

// Page is one answer to a request for states. It is used again for the next one; its zero value is ready.
type Page struct {
	metav1.ListMeta
	// States are of the objects that are selected. The slice is used again, its strings are not.
	States []State

	names     strings.Builder // whose memory States refer to
	namespace string          // of the last object
	rest      []byte          // what else the selection needs of an object
}

// StateLister is a type that can be listed by the states of its objects.
type StateLister interface {
	// ListStates reads the states of a list's selected objects into a page. Nothing else of an object is kept, or
	// becomes memory at all: that costs a request most of its processor time.
	ListStates(ctx context.Context, opts metav1.ListOptions, keep resource.Selection, page *Page) error
}

var (
	_ StateLister = (*getter)(nil)
	_ StateLister = (*one)(nil)
)

// ListStates implements [StateLister].
func (a all) ListStates(ctx context.Context, opts metav1.ListOptions, keep resource.Selection, page *Page) error {
	if err := a.client.states(ctx, a.gvr, "", opts, keep, page); !errors.Is(err, errNoStates) {
		return err
	}
	return page.List(ctx, a, opts, keep)
}

// ListStates implements [StateLister].
func (o *one) ListStates(ctx context.Context, opts metav1.ListOptions, keep resource.Selection, page *Page) error {
	if err := o.client.states(ctx, o.gvr, o.namespace, opts, keep, page); !errors.Is(err, errNoStates) {
		return err
	}
	return page.List(ctx, o, opts, keep)
}

// List reads the states of a list's selected objects, of a client that decodes all of it.
func (p *Page) List(ctx context.Context, client metadata.ResourceInterface, opts metav1.ListOptions, keep resource.Selection) error {
	list, err := client.List(ctx, opts)
	if err == nil {
		p.Take(list, keep)
	}
	return err
}

// Take takes the states of a list.
func (p *Page) Take(list *metav1.PartialObjectMetadataList, keep resource.Selection) {
	p.reset()
	p.ListMeta = list.ListMeta
	for i := range list.Items {
		if o := &list.Items[i].ObjectMeta; keep.Selects(o) {
			p.add([]byte(o.Namespace), []byte(o.Name), []byte(o.ResourceVersion))
		}
	}
}

// reset forgets the last answer. The memory of its names may be referred to.
func (p *Page) reset() {
	size := p.names.Len()
	p.names.Reset()
	p.names.Grow(size)
	p.ListMeta, p.States, p.namespace = metav1.ListMeta{}, p.States[:0], ""
}

// add adds a state. It shares no memory with what it is made of.
func (p *Page) add(namespace, name, version []byte) {
	if string(namespace) != p.namespace {
		p.namespace = p.text(namespace)
	}
	s := State{Namespace: p.namespace, Name: p.text(name), Version: resource.ParseVersion(string(version))}
	p.States = append(p.States, s)
}

// text makes a string in the memory that all names of an answer share. What has been written there is not written
// again.
func (p *Page) text(b []byte) string {
	at := p.names.Len()
	_, _ = p.names.Write(b) // It does not fail.
	return p.names.String()[at:]
}

// errNoStates is an answer that client-go's decoders have to see.
var errNoStates = errors.New("it is no list of metadata")

// maxPage bounds an answer: 500 objects of 1.5 MiB, which etcd takes at most.
const maxPage = 800 << 20

// readers read answers. What is not larger than their buffer is decoded where it lies.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, keptBuffer) }}

// states asks for a list. As a watch it comes as it is: to unpack an answer costs twice what it takes to decrypt and
// pass over the ten times as much that it was.
func (c *client) states(ctx context.Context, gvr schema.GroupVersionResource, namespace string,
	opts metav1.ListOptions, keep resource.Selection, page *Page,
) error {
	body, err := c.lists.Get().AbsPath(segments(gvr, namespace)...).
		SetHeader("Accept", acceptLists).SetHeader("Accept-Encoding", "identity").SetHeader("User-Agent", c.agent).
		SpecificallyVersionedParams(&opts, parameters, optionsV1).Stream(ctx)
	if err != nil {
		return err // As client-go says it.
	}
	defer body.Close()
	r, _ := readers.Get().(*bufio.Reader)
	r.Reset(io.LimitReader(body, maxPage))
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	switch err := page.read(r, keep); {
	case err == nil, errors.Is(err, errNoStates):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // in the middle of it
		return errNoStates
	default:
		return fmt.Errorf("reading a list: %w", err)
	}
}

// read reads an answer, in protobuf or JSON.
func (p *Page) read(r *bufio.Reader, keep resource.Selection) error {
	p.reset()
	head, err := r.Peek(len(magic))
	switch {
	case err != nil:
		return err
	case bytes.Equal(head, magic):
		_, _ = r.Discard(len(magic)) // They have been seen.
		return p.decode(r, keep)
	case head[0] == '{':
		list := new(metav1.PartialObjectMetadataList)
		if err := json.NewDecoder(r).Decode(list); err != nil || list.Kind != "PartialObjectMetadataList" {
			return errors.Join(errNoStates, err)
		}
		p.Take(list, keep)
		return nil
	default:
		return errNoStates
	}
}
