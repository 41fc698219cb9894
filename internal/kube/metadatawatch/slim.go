package metadatawatch

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The numbers of the fields that are read here, from generated.proto of k8s.io/apimachinery.
const (
	eventType, eventObject             = 1, 2 // WatchEvent
	extensionRaw                       = 1    // RawExtension
	unknownType, unknownRaw            = 1, 2 // Unknown
	unknownEncoding, unknownContent    = 3, 4
	typeVersion, typeKind              = 1, 2 // TypeMeta
	partialMetadata                    = 1    // PartialObjectMetadata
	metaAnnotations, metaManagedFields = 12, 17
	mapKey                             = 1
	managedTime, managedFields         = 4, 7 // ManagedFieldsEntry
	managedSubresource                 = 8
	fieldsRaw                          = 1 // FieldsV1
)

// magic begins every object in protobuf.
var magic = []byte("k8s\x00")

// ofMetadata replaces every set of fields with labels or annotations, because no caller needs the single fields.
var ofMetadata = metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{}}}`)

// decodeMetadata decodes a change of an object that comes as metadata. It returns false for all else, including
// error events and malformed frames, which the decoders of client-go take. It changes the frame, and keeps no
// reference to it.
func decodeMetadata(frame []byte) (apiwatch.Event, bool) {
	var kind, object []byte
	if !each(frame, func(n protowire.Number, value, _ []byte) {
		switch n {
		case eventType:
			kind = value
		case eventObject:
			object = value
		default: // there is no other
		}
	}) {
		return apiwatch.Event{}, false
	}
	ev := apiwatch.Event{Type: eventTypeOf(kind)}
	meta, ok := metadataOf(object)
	if ev.Type == "" || !ok {
		return ev, false
	}
	o := new(metav1.PartialObjectMetadata)
	o.TypeMeta = metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}
	slim, newest, ok := slimmed(meta)
	if !ok || o.ObjectMeta.Unmarshal(slim) != nil { // Unmarshal copies the bytes that it keeps
		return ev, false
	}
	if newest != nil {
		o.ManagedFields = []metav1.ManagedFieldsEntry{{Time: newest, FieldsType: "FieldsV1", FieldsV1: ofMetadata}}
	}
	ev.Object = o
	return ev, true
}

// eventTypeOf returns the type of a change, or "" for an event that is no change.
func eventTypeOf(name []byte) apiwatch.EventType {
	for _, t := range []apiwatch.EventType{apiwatch.Modified, apiwatch.Added, apiwatch.Deleted, apiwatch.Bookmark} {
		if string(name) == string(t) {
			return t
		}
	}
	return ""
}

// metadataOf finds the metadata in the object of an event.
func metadataOf(object []byte) (meta []byte, ok bool) {
	var raw []byte
	ok = each(object, func(n protowire.Number, value, _ []byte) {
		if n == extensionRaw {
			raw = value
		}
	})
	if !ok {
		return nil, false
	}
	object, ok = partial(raw)
	ok = ok && each(object, func(n protowire.Number, value, _ []byte) {
		if n == partialMetadata {
			meta = value
		}
	})
	return meta, ok
}

// partial takes an object of metadata out of its envelope.
func partial(raw []byte) (object []byte, ok bool) {
	var typ []byte
	plain := true // the object has the default encoding and content type
	raw, is := bytes.CutPrefix(raw, magic)
	ok = is && each(raw, func(n protowire.Number, value, _ []byte) {
		switch n {
		case unknownType:
			typ = value
		case unknownRaw:
			object = value
		case unknownEncoding, unknownContent:
			plain = plain && len(value) == 0
		default: // there is no other
		}
	})
	return object, ok && plain && isPartial(typ, "PartialObjectMetadata")
}

// isPartial tells whether typ names the metadata kind of.
func isPartial(typ []byte, of string) bool {
	var version, kind []byte
	ok := each(typ, func(n protowire.Number, value, _ []byte) {
		switch n {
		case typeVersion:
			version = value
		case typeKind:
			kind = value
		default: // there is no other
		}
	})
	return ok && string(version) == "meta.k8s.io/v1" && string(kind) == of
}

// slimmed returns metadata, in the same memory, without the fields that no caller keeps. newest is the last
// write of labels or annotations.
func slimmed(meta []byte) (slim []byte, newest *metav1.Time, ok bool) {
	slim = meta[:0]
	good := true
	ok = each(meta, func(n protowire.Number, value, whole []byte) {
		switch {
		case n == metaManagedFields:
			at, fine := written(value)
			good = good && fine
			if at != nil && (newest == nil || newest.Before(at)) {
				newest = at
			}
		case n == metaAnnotations && string(first(value)) == resource.LastApplied:
		default:
			slim = append(slim, whole...) // never overtakes the reading
		}
	})
	return slim, newest, ok && good
}

// written returns when the manager of an entry of managedFields wrote labels or annotations; nil if it did not.
// A manager of a subresource cannot write them.
func written(entry []byte) (at *metav1.Time, ok bool) {
	var when, fields, subresource []byte
	ok = each(entry, func(n protowire.Number, value, _ []byte) {
		switch n {
		case managedTime:
			when = value
		case managedFields:
			fields = value
		case managedSubresource:
			subresource = value
		default: // no caller needs the manager's name
		}
	})
	if !ok || when == nil || fields == nil || len(subresource) > 0 {
		return nil, ok
	}
	if !resource.WritesMetadata(first(fields)) {
		return nil, true
	}
	at = new(metav1.Time)
	return at, at.Unmarshal(when) == nil
}

// first returns the first field of a message: the key of a map's entry, the bytes of a FieldsV1.
func first(message []byte) (found []byte) {
	each(message, func(n protowire.Number, value, _ []byte) {
		if n == mapKey {
			found = value
		}
	})
	return found
}

// each calls f for each field of a message. value is the content of a field of bytes, whole is the complete
// field. It returns false when the message is malformed.
func each(message []byte, f func(n protowire.Number, value, whole []byte)) bool {
	for len(message) > 0 {
		number, typ, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return false
		}
		length := protowire.ConsumeFieldValue(number, typ, message[tag:])
		if length < 0 {
			return false
		}
		value := message[tag : tag+length]
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		f(number, value, message[:tag+length])
		message = message[tag+length:]
	}
	return true
}
