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

// Gathering opens gathering to tests.
var Gathering = gathering

const Burst = burst

// DecodeMetadata opens decodeMetadata to tests.
func DecodeMetadata(frame []byte) (apiwatch.Event, bool) { return decodeMetadata(frame) }

// Read opens read to tests.
func (p *Page) Read(r *bufio.Reader, keep resource.Selection) error { return p.read(r, keep) }
