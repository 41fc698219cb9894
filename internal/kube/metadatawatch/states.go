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

// acceptLists asks for lists as metadata. For an API that knows no metadata, client-go makes a request of its
// own.
const acceptLists = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// State is the name and the version of an object.
type State struct {
	Namespace, Name string
	// Version is 0 when the server's version is no number.
	Version uint64
}

// Page is one answer to a request for states. It can be used again for the next request; its zero value is
// ready.
type Page struct {
	metav1.ListMeta
	// States are the states of the selected objects. The next request overwrites the slice, but not its strings.
	States []State

	names     strings.Builder // the memory of the strings in States
	namespace string          // the last namespace added
	rest      []byte          // the fields of an object that the selection needs
}

// StateLister lists the states of a type's objects.
type StateLister interface {
	// ListStates reads the states of a list's selected objects into a page. It allocates nothing else of an object,
	// because allocations cost a request most of its processor time.
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

// List reads the states of a list's selected objects with a client that decodes whole lists.
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

// reset forgets the last answer. It takes new memory for names, because callers may keep the old strings.
func (p *Page) reset() {
	size := p.names.Len()
	p.names.Reset()
	p.names.Grow(size)
	p.ListMeta, p.States, p.namespace = metav1.ListMeta{}, p.States[:0], ""
}

// add adds a state. The state shares no memory with the arguments.
func (p *Page) add(namespace, name, version []byte) {
	if string(namespace) != p.namespace {
		p.namespace = p.text(namespace)
	}
	s := State{Namespace: p.namespace, Name: p.text(name), Version: resource.ParseVersion(string(version))}
	p.States = append(p.States, s)
}

// text makes a string in the memory that all names of an answer share. That memory is never overwritten.
func (p *Page) text(b []byte) string {
	at := p.names.Len()
	_, _ = p.names.Write(b) // Writes to a Builder do not fail.
	return p.names.String()[at:]
}

// errNoStates means an answer that client-go has to decode.
var errNoStates = errors.New("it is no list of metadata")

// maxPage bounds an answer: 500 objects of 1.5 MiB, the most that etcd takes.
const maxPage = 800 << 20

// readers read answers. An object that fits into the buffer is decoded there, without a copy.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, keptBuffer) }}

// states asks for a list without compression. A plain answer has ten times as many bytes, but unpacking costs
// twice as much as decrypting and skipping them.
func (c *client) states(ctx context.Context, gvr schema.GroupVersionResource, namespace string,
	opts metav1.ListOptions, keep resource.Selection, page *Page,
) error {
	body, err := c.lists.Get().AbsPath(segments(gvr, namespace)...).
		SetHeader("Accept", acceptLists).SetHeader("Accept-Encoding", "identity").SetHeader("User-Agent", c.agent).
		SpecificallyVersionedParams(&opts, parameters, optionsV1).Stream(ctx)
	if err != nil {
		return err // client-go's own error.
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
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the answer ends too early
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
		_, _ = r.Discard(len(magic)) // Peek has read them.
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
