package metadatawatch

import (
	"bufio"
	"io"

	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
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

// Read is read, through a buffer.
func (p *Page) Read(r *bufio.Reader, keep resource.Selection) error { return p.read(r, keep) }
