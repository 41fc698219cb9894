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

// Gathering is gathering, Gatherer a connection that it makes.
var Gathering = gathering

type Gatherer = gatherer

// DecodeMetadata is decodeMetadata.
func DecodeMetadata(frame []byte) (apiwatch.Event, bool) { return decodeMetadata(frame) }
