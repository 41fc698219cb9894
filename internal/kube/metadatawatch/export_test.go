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

// DecodeMetadata is decodeMetadata.
func DecodeMetadata(frame []byte) (apiwatch.Event, bool) { return decodeMetadata(frame) }
