package metadatawatch

import (
	"io"

	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// NewWatch returns a watch of a body.
func NewWatch(body io.ReadCloser) *Watch {
	return newWatch(body, metainternalscheme.Codecs.UniversalDeserializer())
}

// Gathering is gathering, with so many reads that are not held up.
var Gathering = gathering

const Burst = burst

// DecodeMetadata is decodeMetadata.
func DecodeMetadata(frame []byte) (apiwatch.Event, bool) { return decodeMetadata(frame) }

// DecodeStates decodes a list in protobuf.
var DecodeStates = decodeStates
