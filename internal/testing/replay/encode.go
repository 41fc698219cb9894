package replay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonType     = "application/json"
)

// encoding is how an answer is written.
type encoding struct{ protobuf, metadata bool }

// encodings is the number of encodings; an event is written in each at most once.
const encodings = 4

func (e encoding) index() int {
	i := 0
	if e.protobuf {
		i |= 1
	}
	if e.metadata {
		i |= 2
	}
	return i
}

// accepted returns the encoding that a client prefers.
func accepted(header string) encoding {
	first, _, _ := strings.Cut(header, ",")
	return encoding{
		protobuf: strings.Contains(first, protobufType), metadata: strings.Contains(first, "as=PartialObjectMetadata"),
	}
}

func (e encoding) contentType(stream bool) string {
	t := jsonType
	if e.protobuf {
		t = protobufType
	}
	if stream {
		t += ";stream=watch"
	}
	return t
}

// object is one state of an object. An object that a client has written is complete.
type object struct {
	*metav1.PartialObjectMetadata
	full runtime.Object
}

// event is a change of an object.
type event struct {
	kind    apiwatch.EventType
	version uint64
	object  *object

	mu     sync.Mutex // guards frames
	frames [encodings][]byte
}

// frame returns the event in the form for a watch; all watches share it.
func (e *event) frame(gvk schema.GroupVersionKind, enc encoding) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.frames[enc.index()]; f != nil {
		return f, nil
	}
	o, err := e.object.in(gvk, enc)
	if err != nil {
		return nil, err
	}
	f, err := frame(e.kind, o, enc)
	e.frames[enc.index()] = f
	return f, err
}

// frame encodes one event.
func frame(kind apiwatch.EventType, o runtime.Object, enc encoding) ([]byte, error) {
	raw, err := encode(o, enc)
	if err != nil {
		return nil, err
	}
	ev := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}}
	if !enc.protobuf {
		body, err := json.Marshal(ev)
		return append(body, '\n'), err
	}
	body, err := ev.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// in returns the object in the form of an encoding: its metadata, or all of it. An object that no client has written
// has only metadata, whatever the encoding asks for.
func (o *object) in(gvk schema.GroupVersionKind, enc encoding) (runtime.Object, error) {
	if enc.metadata {
		m := *o.PartialObjectMetadata
		m.SetGroupVersionKind(partial("PartialObjectMetadata"))
		return &m, nil
	}
	if o.full != nil {
		return o.full, nil
	}
	m := *o.PartialObjectMetadata
	m.SetGroupVersionKind(gvk)
	body, err := json.Marshal(&m)
	if err != nil {
		return nil, err
	}
	full, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	return full, err
}

func partial(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: kind}
}

var (
	ofMetadata = protobuf.NewSerializer(metainternalscheme.Scheme, metainternalscheme.Scheme)
	ofObjects  = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
)

// encode writes an object that knows its kind.
func encode(o runtime.Object, enc encoding) ([]byte, error) {
	if !enc.protobuf {
		return json.Marshal(o)
	}
	var b bytes.Buffer
	s := ofObjects
	if o.GetObjectKind().GroupVersionKind().Group == "meta.k8s.io" {
		s = ofMetadata
	}
	if err := s.Encode(o, &b); err != nil {
		return nil, fmt.Errorf("encoding a %T: %w", o, err)
	}
	return b.Bytes(), nil
}

// listOf makes a list of objects.
func listOf(gvk schema.GroupVersionKind, objects []*object, m metav1.ListMeta, enc encoding) (runtime.Object, error) {
	if enc.metadata {
		list := &metav1.PartialObjectMetadataList{ListMeta: m}
		list.SetGroupVersionKind(partial("PartialObjectMetadataList"))
		list.Items = make([]metav1.PartialObjectMetadata, 0, len(objects))
		for _, o := range objects {
			item := *o.PartialObjectMetadata
			item.SetGroupVersionKind(partial("PartialObjectMetadata"))
			list.Items = append(list.Items, item)
		}
		return list, nil
	}
	of := gvk.GroupVersion().WithKind(gvk.Kind + "List")
	list, err := scheme.Scheme.New(of)
	if err != nil {
		return nil, err
	}
	list.GetObjectKind().SetGroupVersionKind(of)
	items := make([]runtime.Object, 0, len(objects))
	for _, o := range objects {
		full, err := o.in(gvk, enc)
		if err != nil {
			return nil, err
		}
		items = append(items, full)
	}
	if err := meta.SetList(list, items); err != nil {
		return nil, err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	accessor.SetResourceVersion(m.ResourceVersion)
	accessor.SetContinue(m.Continue)
	return list, nil
}
