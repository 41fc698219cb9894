package netfault

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is the body of a watch. It reads one whole event at a time, and hands on those that pass. One goroutine
// reads it.
type stream struct {
	a       *API
	ctx     context.Context // of the client's request
	body    io.ReadCloser
	next    func() ([]byte, Event, error)
	decided decided
	listing bool   // the streamed list is not over
	listed  int    // events of the streamed list so far
	ready   []byte // bytes for the reader
	held    []byte // an event to hand on after the next one
	err     error  // the error after the ready bytes
}

func (a *API) newStream(resp *http.Response, d decided, protobuf bool) io.ReadCloser {
	s := &stream{a: a, ctx: resp.Request.Context(), body: resp.Body, decided: d, listing: d.request.Streamed}
	if protobuf {
		s.next = s.frame
	} else {
		decoder := json.NewDecoder(resp.Body)
		s.next = func() ([]byte, Event, error) { return document(decoder) }
	}
	return s
}

// Close implements io.Closer.
func (s *stream) Close() error { return s.body.Close() }

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.step()
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// step reads the next event.
func (s *stream) step() {
	raw, e, err := s.next()
	if err != nil {
		s.ready, s.held, s.err = append(s.ready, s.held...), nil, err
		return
	}
	e.Request, e.Initial = s.decided.request, s.listing
	if s.listing && e.EndsList {
		s.listing = false
	}
	switch s.judge(e) {
	case Drop:
	case Hold:
		s.held = append(s.held, raw...)
	case Freeze:
		s.a.hang(s.ctx)
		s.err = errBroken
	case End:
		s.err = io.EOF
	case Break:
		s.err = errBroken
	default:
		s.ready, s.held = append(append(s.ready, raw...), s.held...), nil
	}
}

// judge decides on an event by the answer to the whole request, then by the rules for events.
func (s *stream) judge(e Event) Verdict {
	if e.Initial {
		s.listed++
		switch {
		case s.decided.answer == AnswerBroken && e.EndsList:
			return Break
		case s.decided.answer == AnswerEmpty && !e.EndsList,
			s.decided.answer == AnswerHalf && !e.EndsList && s.listed%2 == 0:
			return Drop
		}
	}
	return s.a.verdict(e)
}

// frame reads one event of protobuf with its length.
func (s *stream) frame() ([]byte, Event, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.body, length[:]); err != nil {
		return nil, Event{}, err
	}
	raw := make([]byte, 4+binary.BigEndian.Uint32(length[:]))
	copy(raw, length[:])
	if _, err := io.ReadFull(s.body, raw[4:]); err != nil {
		return nil, Event{}, fmt.Errorf("reading an event: %w", err)
	}
	var event metav1.WatchEvent
	if err := event.Unmarshal(raw[4:]); err != nil {
		return nil, Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	var object metav1.PartialObjectMetadata
	if event.Type != string(watch.Error) {
		inner, err := unwrap(event.Object.Raw)
		if err != nil {
			return nil, Event{}, err
		}
		// The metadata is the first field of every object, so this decodes all of them and skips the rest.
		if err := object.Unmarshal(inner.Raw); err != nil {
			return nil, Event{}, fmt.Errorf("decoding an object: %w", err)
		}
	}
	return raw, describe(watch.EventType(event.Type), &object), nil
}

// document reads one event of JSON.
func document(decoder *json.Decoder) ([]byte, Event, error) {
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return nil, Event{}, err // It may be io.EOF, which must stay that.
	}
	var event struct {
		Type   watch.EventType              `json:"type"`
		Object metav1.PartialObjectMetadata `json:"object"`
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, Event{}, fmt.Errorf("decoding an event: %w", err)
	}
	return append(raw, '\n'), describe(event.Type, &event.Object), nil
}

func describe(of watch.EventType, o *metav1.PartialObjectMetadata) Event {
	return Event{
		Type: of, Namespace: o.Namespace, Name: o.Name, Version: o.ResourceVersion,
		EndsList: of == watch.Bookmark && o.Annotations[metav1.InitialEventsAnnotationKey] == "true",
	}
}

// magic is what an object in protobuf begins with.
const magic = "k8s\x00"

// unwrap takes an object out of its envelope.
func unwrap(raw []byte) (envelope runtime.Unknown, err error) {
	inner, ok := bytes.CutPrefix(raw, []byte(magic))
	if !ok {
		return envelope, fmt.Errorf("decoding an object: it does not begin with %q", magic)
	}
	if err := envelope.Unmarshal(inner); err != nil {
		return envelope, fmt.Errorf("decoding the envelope of an object: %w", err)
	}
	return envelope, nil
}
