package metadatawatch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The numbers of the fields of a list, and of metadata.
const (
	listMeta, listItems                 = 1, 2 // PartialObjectMetadataList
	metaName, metaNamespace             = 1, 3
	metaVersion, metaLabels, metaOwners = 6, 11, 13
)

// decode reads a list of metadata whose magic has been read. It expects fields in the order of their numbers, as
// API servers write them; client-go decodes all other answers.
func (p *Page) decode(r *bufio.Reader, keep resource.Selection) error {
	m, before := message{r: r, left: maxPage}, protowire.Number(0)
	for {
		n, size, err := m.field()
		switch {
		case errors.Is(err, io.EOF) && before >= unknownRaw: // the stream ends between two fields, after the list
			return nil
		case err != nil:
			return err
		case n <= before, before == 0 && n != unknownType:
			return errNoStates
		}
		before = n
		switch n {
		case unknownType:
			err = m.value(size, func(value []byte) bool { return isPartial(value, "PartialObjectMetadataList") })
		case unknownRaw:
			m.left -= size
			err = p.decodeList(message{r: r, left: size}, keep)
		default: // The object has another encoding or another content type.
			if size > 0 {
				err = errNoStates
			}
		}
		if err != nil {
			return err
		}
	}
}

// decodeList reads the list inside the envelope.
func (p *Page) decodeList(m message, keep resource.Selection) error {
	for m.left > 0 {
		n, size, err := m.field()
		if err != nil {
			return err
		}
		switch n {
		case listMeta:
			err = m.value(size, func(value []byte) bool { return p.Unmarshal(value) == nil })
		case listItems:
			err = m.value(size, func(value []byte) bool { return p.decodeObject(value, keep) })
		default:
			err = errNoStates
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeObject adds the state of a selected object. It keeps no reference to object.
func (p *Page) decodeObject(object []byte, keep resource.Selection) bool {
	var meta []byte
	once := true // A field that comes twice would have to be merged; client-go does that.
	ok := each(object, func(n protowire.Number, value, _ []byte) {
		if n == partialMetadata {
			once, meta = once && meta == nil, value
		}
	})
	needs := keep.Needs()
	var namespace, name, version []byte
	fine := true
	p.rest = p.rest[:0]
	ok = ok && once && each(meta, func(n protowire.Number, value, whole []byte) {
		switch n {
		case metaName:
			name, fine = value, fine && isBytes(whole)
		case metaNamespace:
			namespace, fine = value, fine && isBytes(whole)
		case metaVersion:
			version, fine = value, fine && isBytes(whole)
		case metaLabels:
			if needs.Labels {
				p.rest = append(p.rest, whole...)
			}
		case metaOwners:
			if needs.Owners {
				p.rest = append(p.rest, whole...)
			}
		case metaAnnotations:
			if needs.Annotation != "" && string(first(value)) == needs.Annotation {
				p.rest = append(p.rest, whole...)
			}
		default: // A state does not depend on the field.
		}
	})
	if !ok || !fine {
		return false
	}
	selected := keep.Selects(&nothing)
	if len(p.rest) > 0 {
		o := new(metav1.ObjectMeta)
		if o.Unmarshal(p.rest) != nil {
			return false
		}
		selected = keep.Selects(o)
	}
	if selected {
		p.add(namespace, name, version)
	}
	return true
}

// nothing is the metadata that a selection sees if an object has none of the needed fields.
var nothing metav1.ObjectMeta

// isBytes tells whether a field has the wire type of bytes.
func isBytes(whole []byte) bool {
	_, typ, _ := protowire.ConsumeTag(whole)
	return typ == protowire.BytesType
}

// message reads a protobuf message field by field.
type message struct {
	r    *bufio.Reader
	left int // bytes
}

// field reads the head of the next field: its number, and the size of its value in bytes.
func (m *message) field() (protowire.Number, int, error) {
	tag, err := m.varint()
	if err != nil {
		return 0, 0, err // io.EOF if no field is left
	}
	n, typ := protowire.DecodeTag(tag)
	size, err := m.varint()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, 0, err
	}
	if n < protowire.MinValidNumber || typ != protowire.BytesType || m.left < 0 || size > uint64(m.left) {
		return 0, 0, errNoStates
	}
	return n, int(size), nil
}

// varint reads a number.
func (m *message) varint() (uint64, error) {
	v, err := binary.ReadUvarint(m.r)
	if err != nil {
		return 0, err // The reader's error, or that of a number that is too long.
	}
	m.left -= protowire.SizeVarint(v)
	return v, nil
}

// value reads a value, and fails unless take accepts it. If the value fits into the reader's buffer, take sees
// it there, without a copy.
func (m *message) value(size int, take func(value []byte) bool) error {
	m.left -= size
	if size > maxEvent {
		return errNoStates
	}
	value, err := m.r.Peek(size)
	if errors.Is(err, bufio.ErrBufferFull) {
		value = make([]byte, size)
		_, err = io.ReadFull(m.r, value)
		size = 0 // The value has been read already.
	}
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err // The error of the connection.
	case !take(value):
		return errNoStates
	}
	_, err = m.r.Discard(size)
	return err // It is nil, because Peek has read the bytes.
}
