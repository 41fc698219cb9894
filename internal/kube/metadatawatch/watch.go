package metadatawatch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// maxEvent bounds one event, as client-go does.
const maxEvent = 16 << 20

// errMalformed means complete data that is no event. It does not wrap the decoder's error, which would be an
// io.EOF at the end of an event.
var errMalformed = errors.New("it is malformed")

// errTooLarge means an event beyond maxEvent, or data that is no event.
var errTooLarge = errors.New("it is larger than any event")

// buffers hold an event while it is decoded.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keptBuffer is the largest buffer that is kept for the next event.
const keptBuffer = 64 << 10

// Watch is one watch. Its caller takes events with Next or from the channel, not both.
type Watch struct {
	body    io.ReadCloser
	decoder runtime.Decoder
	head    [4]byte       // the head of a protobuf frame: its length
	json    *json.Decoder // for a server that does not know protobuf; nil otherwise
	bound   *bounded      // the reader of json

	stopped chan struct{}

	mu      sync.Mutex // guards the fields below
	ended   bool       // stopped is closed
	results chan apiwatch.Event
}

var _ apiwatch.Interface = (*Watch)(nil)

func newWatch(body io.ReadCloser, decoder runtime.Decoder) *Watch {
	return &Watch{body: body, decoder: decoder, stopped: make(chan struct{})}
}

// Stop ends the watch, and with it a Next that waits. It may be called more than once.
func (w *Watch) Stop() {
	w.mu.Lock()
	first := !w.ended
	if first {
		w.ended = true
		close(w.stopped)
	}
	w.mu.Unlock()
	if first {
		_ = w.body.Close()
	}
}

// ResultChan returns the channel of a goroutine that calls Next and ends with the watch.
func (w *Watch) ResultChan() <-chan apiwatch.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.results == nil {
		w.results = make(chan apiwatch.Event)
		go w.pump(w.results)
	}
	return w.results
}

func (w *Watch) pump(out chan<- apiwatch.Event) {
	defer close(out)
	defer w.Stop()
	for {
		ev, ok := w.Next()
		if !ok {
			return
		}
		select {
		case out <- ev:
		case <-w.stopped:
			return
		}
	}
}

// Next blocks until there is an event, and returns false when the watch has ended. For data that is no event, it
// returns an error event and ends the watch. Its stack is shallow while it waits, because most watches wait most
// of the time.
func (w *Watch) Next() (apiwatch.Event, bool) {
	if w.json == nil {
		if _, err := io.ReadFull(w.body, w.head[:]); err != nil {
			return w.over(err)
		}
	}
	return w.event()
}

// event reads the rest of a frame after its head, or an event in JSON. A head that begins with a brace is JSON,
// because as a length it would be gigabytes.
func (w *Watch) event() (apiwatch.Event, bool) {
	if w.json == nil && w.head[0] == '{' {
		w.bound = &bounded{Reader: io.MultiReader(bytes.NewReader(w.head[:]), w.body)}
		w.json = json.NewDecoder(w.bound)
	}
	read := w.frame
	if w.json != nil {
		read = w.inJSON
	}
	ev, err := read()
	if err != nil {
		return w.over(err)
	}
	return ev, true
}

// bounded fails a read beyond the largest size of an event.
type bounded struct {
	io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.Reader.Read(p)
	b.left -= n
	return n, err
}

// inJSON reads the next event in JSON.
func (w *Watch) inJSON() (apiwatch.Event, error) {
	w.bound.left = maxEvent
	var got metav1.WatchEvent
	if err := w.json.Decode(&got); err != nil {
		return apiwatch.Event{}, err
	}
	return w.decode(&got)
}

// frame reads a frame of protobuf whose head has been read.
func (w *Watch) frame() (apiwatch.Event, error) {
	n := binary.BigEndian.Uint32(w.head[:])
	if n > maxEvent {
		return apiwatch.Event{}, fmt.Errorf("a frame of %d bytes: %w", n, errTooLarge)
	}
	buffer, _ := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= keptBuffer {
			buffers.Put(buffer)
		}
	}()
	if cap(*buffer) < int(n) {
		*buffer = make([]byte, n)
	}
	b := (*buffer)[:n]
	if _, err := io.ReadFull(w.body, b); err != nil {
		return apiwatch.Event{}, err
	}
	if ev, ok := decodeMetadata(b); ok {
		return ev, nil
	}
	var got metav1.WatchEvent
	if err := got.Unmarshal(b); err != nil { // Unmarshal copies the bytes that it keeps
		return apiwatch.Event{}, fmt.Errorf("%w: %s", errMalformed, err.Error())
	}
	return w.decode(&got)
}

// decode makes an event from its wire form.
func (w *Watch) decode(got *metav1.WatchEvent) (apiwatch.Event, error) {
	switch t := apiwatch.EventType(got.Type); t {
	case apiwatch.Added, apiwatch.Modified, apiwatch.Deleted, apiwatch.Error, apiwatch.Bookmark:
		o, err := runtime.Decode(w.decoder, got.Object.Raw)
		if err != nil {
			return apiwatch.Event{}, fmt.Errorf("%w: decoding its object: %s", errMalformed, err.Error())
		}
		return apiwatch.Event{Type: t, Object: o}, nil
	default:
		return apiwatch.Event{}, fmt.Errorf("%w: its type is %q", errMalformed, got.Type)
	}
}

// over stops the watch and returns its last event: an error, unless the connection ended or Stop was called.
func (w *Watch) over(err error) (apiwatch.Event, bool) {
	select {
	case <-w.stopped:
		return apiwatch.Event{}, false
	default:
	}
	w.Stop()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err) {
		return apiwatch.Event{}, false
	}
	return apiwatch.Event{Type: apiwatch.Error, Object: undecodable(err)}, true
}
